// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuRows.h"

#include "runtime/CodeBits.h"
#include "runtime/RowSpec.h"
#include "runtime/WeightParts.h"

#include <algorithm>
#include <cstring>

using namespace bq;

namespace {

/// Elements for which a thread is worth waking.
int64_t rowGrain(int64_t k) { return std::max<int64_t>(1, (int64_t{1} << 15) / k); }

/// What row kernels read beside codes, scales and zero points.
struct RowConstants {
  explicit RowConstants(const CanonicalWeight &weight) : columnScale(columnScaleOf(weight)) {
    for (int i = 0; weight.format.isTable() && i < 16; ++i)
      table[i] = tableOf(weight)[i % (1 << weight.format.bits)];
  }

  float table[16] = {};
  std::vector<float> columnScale;
};

} // namespace

Status CpuRows::embedding(const CanonicalWeight &weight, const int64_t *indices, int64_t count, void *y,
                          ParallelFor parallel) {
  if (Status status = verifyIndices(weight, indices, count, y); !status || !count)
    return status;
  if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
    return permutedRows(weight, columns, indices, count, y, parallel);
  Expected<const Kernel *> kernel = kernels.get(rowSpec(KernelSpec::Op::Embedding, weight));
  if (!kernel)
    return kernel.error();
  RowConstants constants(weight);
  auto run = [&](int64_t begin, int64_t end) {
    (*kernel)->embedding()(indices, weight.codes, weight.scales, weight.zeros, constants.table,
                           constants.columnScale.data(), y, begin, end);
  };
  parallel(0, count, rowGrain(weight.k), run);
  return {};
}

Status CpuRows::dequantize(const CanonicalWeight &weight, void *y, ParallelFor parallel) {
  if (!weight.n)
    return {};
  if (!y)
    return invalidArgument("y is null: the weight has " + std::to_string(weight.n) + " rows");
  if (std::vector<int32_t> columns = columnsByGroup(weight); !columns.empty())
    return permutedRows(weight, columns, nullptr, weight.n, y, parallel);
  Expected<const Kernel *> kernel = kernels.get(rowSpec(KernelSpec::Op::Dequantize, weight));
  if (!kernel)
    return kernel.error();
  RowConstants constants(weight);
  auto run = [&](int64_t begin, int64_t end) {
    (*kernel)->dequantize()(weight.codes, weight.scales, weight.zeros, constants.table, constants.columnScale.data(), y,
                            begin, end);
  };
  parallel(0, weight.n, rowGrain(weight.k), run);
  return {};
}

/// Rows `indices` (all in order where null) of a weight whose columns belong to groups in any order: each row is sorted
/// by group, dequantized as one of an ordinary weight, and its columns go back to their places.
Status CpuRows::permutedRows(const CanonicalWeight &weight, const std::vector<int32_t> &columns, const int64_t *indices,
                             int64_t count, void *y, ParallelFor parallel) {
  Expected<const Kernel *> kernel = kernels.get(rowSpec(KernelSpec::Op::Dequantize, weight));
  if (!kernel)
    return kernel.error();
  RowConstants constants(weight);
  const int64_t k = weight.k, groups = weight.format.groupCount(k), rowBytes = weight.format.rowBytes(k);
  const size_t element = sizeOf(weight.scaleType), scaleBytes = groups * element;
  const size_t zeroRowBytes = groups * zeroPointBytes(weight.zeroType);
  auto run = [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> codes(k), sorted(k), packed(rowBytes);
    // Of f32, as that is the strictest alignment of what they hold.
    std::vector<float> scales(groups), zeros(groups), values(k);
    auto *from = reinterpret_cast<const uint8_t *>(values.data());
    for (int64_t i = begin; i < end; ++i) {
      int64_t row = indices ? indices[i] : i;
      unpackCodes(weight.codes + row * rowBytes, weight.format.bits, k, codes.data());
      for (int64_t c = 0; c < k; ++c)
        sorted[c] = codes[columns[c]];
      packCodes(sorted.data(), weight.format.bits, k, packed.data());
      std::memcpy(scales.data(), static_cast<const uint8_t *>(weight.scales) + row * scaleBytes, scaleBytes);
      if (zeroRowBytes)
        std::memcpy(zeros.data(), static_cast<const uint8_t *>(weight.zeros) + row * zeroRowBytes, zeroRowBytes);
      (*kernel)->dequantize()(packed.data(), scales.data(), zeroRowBytes ? zeros.data() : nullptr, constants.table,
                              nullptr, values.data(), 0, 1);
      uint8_t *to = static_cast<uint8_t *>(y) + i * k * element;
      for (int64_t c = 0; c < k; ++c)
        std::memcpy(to + columns[c] * element, from + c * element, element);
    }
  };
  parallel(0, count, rowGrain(k), run);
  return {};
}

Status CpuRows::quantize(const QuantizeArgs &args, ParallelFor parallel) {
  if (!args.n)
    return {};
  Expected<const Kernel *> kernel = kernels.get(quantizeSpec(args));
  if (!kernel)
    return kernel.error();
  auto run = [&](int64_t begin, int64_t end) {
    (*kernel)->quantize()(args.weight, args.codes, args.scales, args.zeros, args.stride, begin, end);
  };
  parallel(0, args.n, rowGrain(args.k), run);
  return {};
}
