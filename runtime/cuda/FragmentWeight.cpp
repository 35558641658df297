// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/FragmentWeight.h"

#include "dialect/core/Half.h"
#include "runtime/WeightParts.h"

#include <algorithm>
#include <cstring>

using namespace bq;

void bq::fillTable(cuda::WeightTable &table, const float *values, int count) {
  const FixedPointTable fixed(values, count);
  table.i8Scale = fixed.scale(127);
  for (int i = 0; i < 16; ++i)
    table.f32[i] = values[i % count];
  for (int i = 0; i < 256; ++i) {
    const int low = i % 16 % count, high = i / 16 % count;
    table.bf16Pairs[i] = floatToBF16(values[low]) | static_cast<uint32_t>(floatToBF16(values[high])) << 16;
    table.i8Pairs[i] = static_cast<uint16_t>((fixed.at(low, 127) + 128) | (fixed.at(high, 127) + 128) << 8);
  }
}

namespace {

/// One value of `width` bytes for each row and group, to where the layout has it; rows [begin, end).
void reorder(const FragmentLayout &layout, const void *in, int64_t width, uint8_t *out, int64_t begin, int64_t end) {
  auto *from = static_cast<const uint8_t *>(in) + begin * layout.groups() * width;
  for (int64_t row = begin; row < end; ++row)
    for (int64_t group = 0; group < layout.groups(); ++group, from += width)
      for (int64_t part = 0; part < layout.segmentsPerGroup; ++part) {
        const int64_t segment = group * layout.segmentsPerGroup + part;
        if (layout.segmentLength(segment))
          std::memcpy(out + layout.scaleIndex(row, segment) * width, from, width);
      }
}

} // namespace

Status FragmentWeight::allocate(bool permuted) {
  constexpr int64_t alignment = AlignedBuffer::alignment;
  int64_t size = 0;
  auto reserve = [&](Part &part, int64_t bytes) {
    part = {size, bytes};
    size += (bytes + alignment - 1) / alignment * alignment;
  };
  reserve(codes, order.codeBytes());
  reserve(scales, order.scaleCount() * sizeOf(elementType));
  reserve(zeros, order.scaleCount() * zeroPointBytes(zeroPoints));
  reserve(table, weightFormat.isTable() ? sizeof(cuda::WeightTable) : 0);
  reserve(permutation, permuted ? columns * 4 : 0);
  reserve(columnScale, weightFormat.hasColumnScale() ? columns * 4 : 0);
  Expected<AlignedBuffer> memory = AlignedBuffer::allocate(static_cast<size_t>(size));
  if (!memory)
    return memory.error();
  storage = std::move(*memory);
  return {};
}

void FragmentWeight::packBlocks(const CanonicalWeight &weight, const std::vector<int32_t> &columnOrder, int64_t begin,
                                int64_t end) {
  RowCodes rowCodes(weight, columnOrder);
  const int64_t first = begin * FragmentLayout::blockRows, last = std::min(end * FragmentLayout::blockRows, rows);
  for (int64_t row = first; row < last; ++row)
    order.packRow(row, rowCodes.get(row), storage.data() + codes.offset);
  // Memory begins as zeros, which is what stays for padding.
  reorder(order, weight.scales, sizeOf(elementType), storage.data() + scales.offset, first, last);
  if (zeros)
    reorder(order, weight.zeros, zeroPointBytes(zeroPoints), storage.data() + zeros.offset, first, last);
}

Expected<FragmentWeight> FragmentWeight::pack(const CanonicalWeight &weight, ParallelFor parallel) {
  FragmentWeight packed;
  packed.weightFormat = weight.format;
  packed.rows = weight.n;
  packed.columns = weight.k;
  packed.elementType = weight.scaleType;
  packed.zeroPoints = weight.zeroType;
  if (!weight.n)
    return packed;
  packed.order = FragmentLayout::get(weight.format, weight.n, weight.k);

  const std::vector<int32_t> columnOrder = columnsByGroup(weight);
  if (Status status = packed.allocate(!columnOrder.empty()); !status)
    return status.error();
  uint8_t *memory = packed.storage.data();
  if (packed.table)
    fillTable(*reinterpret_cast<cuda::WeightTable *>(memory + packed.table.offset), tableOf(weight),
              1 << weight.format.bits);
  if (packed.permutation)
    std::memcpy(memory + packed.permutation.offset, columnOrder.data(), packed.permutation.bytes);
  if (packed.columnScale)
    std::memcpy(memory + packed.columnScale.offset, columnScaleOf(weight).data(), packed.columnScale.bytes);

  // As many codes for a thread as are worth waking it for.
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 18) / (FragmentLayout::blockRows * weight.k));
  parallel(0, packed.order.blocks(), grain,
           [&](int64_t begin, int64_t end) { packed.packBlocks(weight, columnOrder, begin, end); });
  return packed;
}
