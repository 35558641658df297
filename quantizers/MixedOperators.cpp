// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bq::quantize_mixed. How long its codes are depends on the bits: for tracers it is made of bq::_mixed_code_bytes,
// whose result becomes a size that is not known before the data, and bq::_quantize_mixed, which is given that size.
#include "quantizers/Mixed.h"
#include "quantizers/Tensors.h"
#include "quantizers/cuda/OnGpu.h"
#include "runtime/MixedStream.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <tuple>

using namespace bq;

using at::Tensor;
using OptionalSize = std::optional<c10::SymInt>;
using Tensors = std::tuple<Tensor, Tensor>;

namespace {

constexpr char publicName[] = "bq::quantize_mixed";
constexpr char bytesName[] = "bq::_mixed_code_bytes";
constexpr char sizedName[] = "bq::_quantize_mixed";

template <auto kernel, const char *name, typename... Args>
auto dispatched(Args &&...args) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow(name, "")
                             .template typed<std::remove_pointer_t<decltype(kernel)>>();
  return op.call(std::forward<Args>(args)...);
}

/// Throws where `bits` is not uint8 [groups]; sizes may be symbolic.
void checkBits(const Tensor &bits, const c10::SymInt &weights, int64_t groupSize) {
  TORCH_CHECK(groupSize >= 0, publicName, ": 'group_size' is ", groupSize, ": use 0 (one group) or more");
  TORCH_CHECK(bits.scalar_type() == at::kByte && bits.dim() == 1, publicName,
              ": expected 'bits' of type Byte, one for each group, got ", bits.scalar_type(), " ", bits.sym_sizes());
  const c10::SymInt groups = groupSize ? (weights + (groupSize - 1)) / groupSize : weights.min(1);
  TORCH_SYM_CHECK(bits.sym_size(0).sym_eq(groups), publicName, ": expected 'bits' [", groups,
                  "], one for each group, got ", bits.sym_sizes());
}

Tensor bytesHere(const Tensor &bits, c10::SymInt count, int64_t groupSize) {
  const int64_t weights = count.expect_int();
  checkBits(bits, weights, groupSize);
  const Tensor widths = bits.cpu().contiguous();
  const MixedStream stream = take(publicName, MixedStream::plan(widths.const_data_ptr<uint8_t>(), weights, groupSize));
  return at::scalar_tensor(stream.bytes(), at::device(bits.device()).dtype(at::kLong));
}

Tensor bytesMeta(const Tensor &bits, c10::SymInt weights, int64_t groupSize) {
  checkBits(bits, weights, groupSize);
  return at::empty({}, bits.options().dtype(at::kLong));
}

Tensors sizedHere(const Tensor &weight, const Tensor &bits, int64_t groupSize, OptionalSize bytes) {
  const MixedWeight mixed = quantizeMixed(weight, bits, groupSize);
  TORCH_CHECK(!bytes || mixed.codes.numel() == *bytes, sizedName, ": 'bits' take ", mixed.codes.numel(),
              " bytes of codes, got ", *bytes);
  return {mixed.codes, mixed.scales};
}

Tensors sizedMeta(const Tensor &weight, const Tensor &bits, int64_t groupSize, OptionalSize bytes) {
  elementType(publicName, "weight", weight.scalar_type());
  checkBits(bits, weight.sym_numel(), groupSize);
  TORCH_CHECK(bytes, sizedName, ": expected 'bytes', since the codes' length does not follow from shapes");
  return {at::empty_symint({*bytes}, weight.options().dtype(at::kByte)),
          at::empty({2}, weight.options().dtype(at::kFloat))};
}

bool isTraced(const Tensor &tensor) { return tensor.unsafeGetTensorImpl()->is_python_dispatch(); }

Tensors publicKernel(const Tensor &weight, const Tensor &bits, int64_t groupSize) {
  OptionalSize bytes;
  if (isTraced(weight) || isTraced(bits) || c10::impl::dispatch_mode_enabled()) {
    bytes = dispatched<bytesHere, bytesName>(bits, weight.sym_numel(), groupSize).item().toSymInt();
    TORCH_SYM_CHECK(bytes->sym_ge(MixedStream::headerBytes), publicName, ": the codes have ", *bytes, " bytes");
  } else {
    TORCH_CHECK(!bits.is_meta(), publicName,
                ": how long codes are depends on the values of 'bits', which meta tensors do not have");
  }
  return dispatched<sizedHere, sizedName>(weight, bits, groupSize, bytes);
}

} // namespace

TORCH_LIBRARY_FRAGMENT(bq, m) {
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("quantize_mixed(Tensor weight, Tensor bits, int group_size) -> (Tensor codes, Tensor scales)", tags);
  m.def("_mixed_code_bytes(Tensor bits, SymInt weights, int group_size) -> Tensor", tags);
  m.def("_quantize_mixed(Tensor weight, Tensor bits, int group_size, SymInt? bytes=None) -> "
        "(Tensor codes, Tensor scales)",
        tags);
}

TORCH_LIBRARY_IMPL(bq, CompositeImplicitAutograd, m) { m.impl("quantize_mixed", publicKernel); }

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("_mixed_code_bytes", bytesHere);
  m.impl("_quantize_mixed", sizedHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("_mixed_code_bytes", bytesMeta);
  m.impl("_quantize_mixed", sizedMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("_mixed_code_bytes", bytesHere);
  m.impl("_quantize_mixed", gpu::OnGpu<sizedHere, publicName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  for (const char *name : {"_mixed_code_bytes", "_quantize_mixed"})
    m.impl(name, torch::autograd::autogradNotImplementedFallback());
}
