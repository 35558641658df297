// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuRows.h"

#include "quantizers/DecodeByTorch.h"
#include "quantizers/Quantize.h"
#include "quantizers/cuda/GpuMixed.h"
#include "runtime/RowSpec.h"
#include "runtime/WeightParts.h"

#include <ATen/ops/_assert_async.h>

#include <map>
#include <mutex>

using namespace bq;
using namespace bq::gpu;

namespace {

/// The table of nf4 or fp4 in the memory of a device: made once, kept for good.
at::Tensor formatTable(const char *op, const Place &place, const Format &format) {
  static auto *mutex = new std::mutex;
  static auto *known = new std::map<std::pair<const CudaDevice *, Format::Kind>, at::Tensor>;
  std::lock_guard<std::mutex> guard(*mutex);
  at::Tensor &table = (*known)[{place.device, format.kind}];
  if (!table.defined()) {
    checkNotCapturing(op, place, "the table of " + format.str());
    table = decodingTable(format).to(place.tensors);
  }
  return table;
}

/// A weight as kernels read it, and what keeps its memory alive.
struct RowWeight {
  CudaRowWeight view;
  std::vector<at::Tensor> keep;

  RowWeight(const char *op, const Place &place, const WeightTensors &weight, const Format &format, int64_t k) {
    BorrowedWeight borrowed = borrow({weight.codes, weight.scales, weight.zeros, std::nullopt}, format, k);
    keep = std::move(borrowed.keep);
    const CanonicalWeight &canonical = borrowed.view;
    view.format = format;
    view.n = canonical.n;
    view.k = k;
    view.codes = canonical.codes;
    view.scales = canonical.scales;
    view.scaleType = canonical.scaleType;
    view.zeros = canonical.zeros;
    view.zeroType = canonical.zeroType;
    auto hold = [&](at::Tensor tensor) {
      keep.push_back(std::move(tensor));
      return keep.back().const_data_ptr<float>();
    };
    if (format.kind == Format::Kind::Lut)
      view.table = hold(weight.zeros->to(at::kFloat).repeat({16 >> format.bits}));
    else if (format.isTable())
      view.table = hold(formatTable(op, place, format));
    if (format.hasColumnScale())
      view.columnScale = hold(weight.scales.slice(0, canonical.n).to(at::kFloat).contiguous());
  }
};

/// The rows of a weight that indices name, as a weight.
WeightTensors selectRows(const WeightTensors &weight, const Format &format, const at::Tensor &indices) {
  const int64_t n = weight.codes.size(0);
  WeightTensors rows{weight.codes.index_select(0, indices), {}, weight.zeros, weight.groupIndex};
  rows.scales = format.hasColumnScale()
                    ? at::cat({weight.scales.slice(0, 0, n).index_select(0, indices), weight.scales.slice(0, n)})
                    : weight.scales.index_select(0, indices);
  if (format.hasZeroPoints())
    rows.zeros = weight.zeros->index_select(0, indices);
  return rows;
}

} // namespace

const LoadedCudaKernel &gpu::kernelFor(const char *op, const Place &place, const KernelSpec &spec) {
  return *take(op, place.rows->kernel(spec, place.stream));
}

bool gpu::hasKernel(const char *op, const Place &place, const KernelSpec &spec) {
  const Expected<const LoadedCudaKernel *> kernel = place.rows->kernel(spec, place.stream);
  if (!kernel && !fallsBack(spec, kernel.error()))
    raise(op, kernel.error());
  return kernel.ok();
}

at::Tensor gpu::dequantize(const char *op, const Place &place, const WeightTensors &weight, const Format &format,
                           int64_t k) {
  if (format.isMixed())
    return GpuMixedWeight(op, place, weight, format, k).values(op, place).view({-1, k});
  const RowWeight rows(op, place, weight, format, k);
  at::Tensor y = at::empty({rows.view.n, k}, weight.scales.options());
  if (!y.numel())
    return y;
  if (!hasKernel(op, place, rowSpec(KernelSpec::Op::Dequantize, rows.view)))
    return decodeByTorch(weight, format, k);
  check(op, place.rows->dequantize(rows.view, y.mutable_data_ptr(), place.stream));
  return y;
}

void gpu::embedding(const char *op, const Place &place, const at::Tensor &indices, const WeightTensors &weight,
                    const Format &format, int64_t k, at::Tensor y) {
  if (format.isMixed()) {
    y.view({indices.numel(), k}).copy_(dequantize(op, place, weight, format, k).index_select(0, indices));
    return;
  }
  const int64_t n = weight.codes.size(0);
  // Kernels that come after a failed assertion do not run, so nothing reads out of range.
  at::_assert_async(indices.ge(0).logical_and_(indices.lt(n)).all(),
                    std::string(op) + ": an index is outside [0, " + std::to_string(n) + ")");
  if (!(weight.groupIndex && weight.groupIndex->defined())) {
    const RowWeight rows(op, place, weight, format, k);
    if (hasKernel(op, place, rowSpec(KernelSpec::Op::Embedding, rows.view))) {
      check(op, place.rows->embedding(rows.view, indices.const_data_ptr<int64_t>(), indices.numel(),
                                      y.mutable_data_ptr(), place.stream));
      return;
    }
  }
  const WeightTensors rows = selectRows(weight, format, indices);
  y.view({indices.numel(), k})
      .copy_(dequantizeAs(rows, format, {indices.numel(), k}, std::nullopt,
                          [&](const WeightTensors &tensors, const Format &plain, at::IntArrayRef) {
                            return dequantize(op, place, tensors, plain, k);
                          }));
}

void gpu::quantize(const char *op, const Place &place, const QuantizeArgs &args) {
  check(op, place.rows->quantize(args, place.stream));
}

void gpu::fakeQuantize(const char *op, const Place &place, const FakeQuantizeArgs &args) {
  check(op, place.rows->fakeQuantize(args, place.stream));
}

at::Tensor gpu::fakeQuantizeGrad(const char *op, const Place &place, const FakeQuantizeGradArgs &args) {
  const FakeQuantizeArgs &forward = args.forward;
  const at::Tensor partials =
      at::empty({forward.rows, forward.tasksPerRow()}, at::device(place.tensors).dtype(at::kFloat));
  check(op, place.rows->fakeQuantizeGrad(args, partials.mutable_data_ptr<float>(), place.stream));
  return partials.sum(1, /*keepdim=*/false, at::kDouble).to(at::kFloat);
}
