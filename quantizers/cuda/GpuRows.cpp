// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/cuda/GpuRows.h"

#include "quantizers/DecodeByTorch.h"
#include "quantizers/Quantize.h"
#include "runtime/WeightParts.h"

#include <ATen/ops/_assert_async.h>

#include <atomic>
#include <map>
#include <mutex>
#include <unordered_set>

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

/// Whether `run` did it. Throws for errors that are the caller's to see. What cannot be made is not tried again.
template <typename Run>
bool runOrFallBack(const char *op, const Place &place, const KernelSpec &spec, Run run) {
  static auto *mutex = new std::mutex;
  static auto *failed = new std::unordered_set<std::string>;
  static std::atomic<bool> anyFailed{false};
  if (anyFailed) {
    std::lock_guard<std::mutex> guard(*mutex);
    if (failed->count(spec.str()))
      return false;
  }
  const Status status = run();
  if (status)
    return true;
  // A launch that fails is no reason to do without a kernel that is there.
  const Expected<const LoadedCudaKernel *> kernel = place.kernels->get(spec, *place.device, place.stream);
  if (kernel || !fallsBack(spec, kernel.error()))
    raise(op, status.error());
  std::lock_guard<std::mutex> guard(*mutex);
  failed->insert(spec.str());
  anyFailed = true;
  return false;
}

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

at::Tensor gpu::dequantize(const char *op, const Place &place, const WeightTensors &weight, const Format &format,
                           int64_t k) {
  const RowWeight rows(op, place, weight, format, k);
  at::Tensor y = at::empty({rows.view.n, k}, weight.scales.options());
  const KernelSpec spec = CudaRows::spec(KernelSpec::Op::Dequantize, rows.view);
  if (!y.numel() || runOrFallBack(op, place, spec, [&] {
        return place.rows->dequantize(rows.view, y.mutable_data_ptr(), place.stream);
      }))
    return y;
  return decodeByTorch(weight, format, k);
}

void gpu::embedding(const char *op, const Place &place, const at::Tensor &indices, const WeightTensors &weight,
                    const Format &format, int64_t k, at::Tensor y) {
  const int64_t n = weight.codes.size(0);
  // Kernels that come after a failed assertion do not run, so nothing reads out of range.
  at::_assert_async(indices.ge(0).logical_and_(indices.lt(n)).all(),
                    std::string(op) + ": an index is outside [0, " + std::to_string(n) + ")");
  if (!(weight.groupIndex && weight.groupIndex->defined())) {
    const RowWeight rows(op, place, weight, format, k);
    const KernelSpec spec = CudaRows::spec(KernelSpec::Op::Embedding, rows.view);
    if (runOrFallBack(op, place, spec, [&] {
          return place.rows->embedding(rows.view, indices.const_data_ptr<int64_t>(), indices.numel(),
                                       y.mutable_data_ptr(), place.stream);
        }))
      return;
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
