// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// bq::diffq_noise: what a host language needs, with bq::quantize_mixed, to train bits with its own hooks.
#include "quantizers/DiffqNoise.h"
#include "quantizers/Tensors.h"
#include "quantizers/cuda/OnGpu.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <tuple>

using namespace bq;

using at::Tensor;
using Tensors = std::tuple<Tensor, Tensor>;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr char noiseName[] = "bq::diffq_noise";
constexpr char backwardName[] = "bq::diffq_noise_backward";

NoiseKind kindOf(const char *op, c10::string_view text) {
  const Expected<NoiseKind> kind = parseNoiseKind(std::string_view(text.data(), text.size()));
  TORCH_CHECK(kind, op, ": ", kind.error().message);
  return *kind;
}

Tensor noisyHere(const Tensor &weight, const Tensor &bits, int64_t groupSize, c10::string_view noise, int64_t seed,
                 int64_t offset, int64_t rounds) {
  return diffqNoiseForward(weight, bits, groupSize, kindOf(noiseName, noise), static_cast<uint64_t>(seed),
                           static_cast<uint64_t>(offset), rounds);
}

Tensor noisyMeta(const Tensor &weight, const Tensor &bits, int64_t groupSize, c10::string_view noise, int64_t, int64_t,
                 int64_t rounds) {
  kindOf(noiseName, noise);
  checkDiffqNoise(weight, bits, groupSize, rounds);
  return at::empty_like(weight);
}

Tensors backwardHere(const Tensor &gradient, const Tensor &weight, const Tensor &bits, int64_t groupSize,
                     c10::string_view noise, int64_t seed, int64_t offset, int64_t rounds) {
  return diffqNoiseBackward(gradient, weight, bits, groupSize, kindOf(backwardName, noise), static_cast<uint64_t>(seed),
                            static_cast<uint64_t>(offset), rounds);
}

Tensors backwardMeta(const Tensor &gradient, const Tensor &weight, const Tensor &bits, int64_t groupSize,
                     c10::string_view, int64_t, int64_t, int64_t rounds) {
  checkDiffqNoiseBackward(gradient, weight, bits, groupSize, rounds);
  return {at::empty_like(gradient, at::MemoryFormat::Contiguous), at::empty_like(bits, at::MemoryFormat::Contiguous)};
}

template <auto kernel, const char *name, typename... Args>
auto dispatched(Args &&...args) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow(name, "")
                             .template typed<std::remove_pointer_t<decltype(kernel)>>();
  return op.call(std::forward<Args>(args)...);
}

/// The noise while a tracer looks on: its gradient is an operator too, which knows nothing of this call.
struct TracedNoise : torch::autograd::Function<TracedNoise> {
  static Tensor forward(AutogradContext *context, const Tensor &weight, const Tensor &bits, int64_t groupSize,
                        const std::string &noise, int64_t seed, int64_t offset, int64_t rounds) {
    context->save_for_backward({weight, bits});
    context->saved_data["numbers"] = std::vector<int64_t>{groupSize, seed, offset, rounds};
    context->saved_data["noise"] = noise;
    at::AutoDispatchBelowADInplaceOrView guard;
    return dispatched<noisyHere, noiseName>(weight, bits, groupSize, noise, seed, offset, rounds);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const variable_list saved = context->get_saved_variables();
    const std::vector<int64_t> numbers = context->saved_data["numbers"].toIntVector();
    auto [weight, bits] = dispatched<backwardHere, backwardName>(gradients[0], saved[0], saved[1], numbers[0],
                                                                 context->saved_data["noise"].toStringRef(), numbers[1],
                                                                 numbers[2], numbers[3]);
    return {weight, bits, {}, {}, {}, {}, {}};
  }
};

Tensor noisyAutograd(const Tensor &weight, const Tensor &bits, int64_t groupSize, c10::string_view noise, int64_t seed,
                     int64_t offset, int64_t rounds) {
  auto isTraced = [](const Tensor &tensor) {
    return tensor.is_meta() || tensor.unsafeGetTensorImpl()->is_python_dispatch();
  };
  if (isTraced(weight) || isTraced(bits))
    return TracedNoise::apply(weight, bits, groupSize, std::string(noise), seed, offset, rounds);
  return diffqNoise(weight, bits, groupSize, kindOf(noiseName, noise), static_cast<uint64_t>(seed),
                    static_cast<uint64_t>(offset), rounds);
}

} // namespace

TORCH_LIBRARY_FRAGMENT(bq, m) {
  const std::vector<at::Tag> tags{at::Tag::pt2_compliant_tag};
  m.def("diffq_noise(Tensor weight, Tensor bits, int group_size, str noise, int seed, int offset=0, int rounds=7) "
        "-> Tensor",
        tags);
  m.def("diffq_noise_backward(Tensor gradient, Tensor weight, Tensor bits, int group_size, str noise, int seed, "
        "int offset=0, int rounds=7) -> (Tensor, Tensor)",
        tags);
}

TORCH_LIBRARY_IMPL(bq, CPU, m) {
  m.impl("diffq_noise", noisyHere);
  m.impl("diffq_noise_backward", backwardHere);
}

TORCH_LIBRARY_IMPL(bq, Meta, m) {
  m.impl("diffq_noise", noisyMeta);
  m.impl("diffq_noise_backward", backwardMeta);
}

TORCH_LIBRARY_IMPL(bq, CUDA, m) {
  m.impl("diffq_noise", gpu::OnGpu<noisyHere, noiseName>::call);
  m.impl("diffq_noise_backward", gpu::OnGpu<backwardHere, backwardName>::call);
}

TORCH_LIBRARY_IMPL(bq, Autograd, m) {
  m.impl("diffq_noise", noisyAutograd);
  m.impl("diffq_noise_backward", torch::autograd::autogradNotImplementedFallback());
}
