// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cpu/CpuWeight.h"

#include "dialect/core/Half.h"
#include "runtime/WeightParts.h"

#include <algorithm>
#include <cstring>

using namespace bq;

void bq::fillTable(abi::WeightTable &table, const float *values, int count) {
  const FixedPointTable fixed(values, count);
  table.i8Scale = fixed.scale(127);
  table.i16Scale = fixed.scale(32767);
  for (int i = 0; i < 16; ++i) {
    const int code = i % count, wide = fixed.at(code, 32767) + 32768;
    table.f32[i] = values[code];
    table.bf16[i] = table.bf16[i + 16] = floatToBF16(values[code]);
    table.i8[i] = static_cast<uint8_t>(fixed.at(code, 127) + 128);
    table.i16High[i] = static_cast<uint8_t>(wide >> 8);
    table.i16Low[i] = static_cast<uint8_t>(wide);
  }
}

namespace {

/// Rows [begin, end) of blocks of one value for each row and group, into [block][segment][lane].
template <typename In, typename Out, typename Convert>
void reorder(const Layout &layout, const void *in, void *out, int64_t begin, int64_t end, Convert convert) {
  const int64_t lanes = layout.lanes, segments = layout.segments();
  for (int64_t row = begin * lanes; row < std::min(end * lanes, layout.n); ++row) {
    auto *from = static_cast<const In *>(in) + row * layout.groups();
    auto *to = static_cast<Out *>(out) + row / lanes * segments * lanes + row % lanes;
    for (int64_t group = 0; group < layout.groups(); ++group)
      for (int64_t part = 0; part < layout.segmentsPerGroup; ++part, to += lanes)
        // A segment that is all padding adds nothing, whatever the scale of its group.
        *to = layout.segmentLength(group * layout.segmentsPerGroup + part) ? convert(from[group]) : Out{};
  }
}

template <typename T>
void copyReordered(const Layout &layout, const void *in, void *out, int64_t begin, int64_t end) {
  reorder<T, T>(layout, in, out, begin, end, [](T value) { return value; });
}

} // namespace

size_t CpuWeight::reserve(size_t &size, size_t bytes) {
  const size_t offset = size;
  size = (size + bytes + AlignedBuffer::alignment - 1) / AlignedBuffer::alignment * AlignedBuffer::alignment;
  return offset;
}

Status CpuWeight::allocate(const CanonicalWeight &weight, bool permuted) {
  size_t size = 0;
  auto reserve = [&](size_t bytes) { return CpuWeight::reserve(size, bytes); };
  reserve(order.codeBytes());
  scaleOffset = reserve(order.scaleCount() * sizeOf(elementType));
  if (zeroPoints != ZeroPointType::None)
    zeroOffset = reserve(order.scaleCount() * zeroPointBytes(zeroPoints));
  if (weightFormat.isTable())
    tableOffset = reserve(sizeof(abi::WeightTable));
  if (permuted)
    permutationOffset = reserve(columns * sizeof(int32_t));
  if (weightFormat.hasColumnScale() || weight.columnFactors)
    columnScaleOffset = reserve(columns * sizeof(float));
  Expected<AlignedBuffer> memory = AlignedBuffer::allocate(size);
  if (!memory)
    return memory.error();
  storage = std::move(*memory);
  return {};
}

void CpuWeight::packBlocks(const CanonicalWeight &weight, const std::vector<int32_t> &permutation, int64_t begin,
                           int64_t end) {
  RowCodes codes(weight, permutation);
  for (int64_t row = begin * order.lanes; row < std::min(end * order.lanes, rows); ++row)
    order.packRow(row, codes.get(row), storage.data());

  uint8_t *scaleData = storage.data() + scaleOffset, *zeroData = storage.data() + zeroOffset;
  if (weight.scaleType == ElementType::F32)
    copyReordered<float>(order, weight.scales, scaleData, begin, end);
  else if (elementType == weight.scaleType)
    copyReordered<uint16_t>(order, weight.scales, scaleData, begin, end);
  else
    reorder<uint16_t, float>(order, weight.scales, scaleData, begin, end,
                             weight.scaleType == ElementType::F16 ? f16ToFloat : bf16ToFloat);
  if (zeroPoints == ZeroPointType::U8)
    copyReordered<uint8_t>(order, weight.zeros, zeroData, begin, end);
  else if (zeroPoints == ZeroPointType::F32)
    copyReordered<float>(order, weight.zeros, zeroData, begin, end);
}

Expected<std::shared_ptr<const CpuWeight>> CpuWeight::pack(const CanonicalWeight &weight, const CpuTarget &target,
                                                           ParallelFor parallel) {
  std::shared_ptr<CpuWeight> packed(new CpuWeight);
  packed->weightFormat = weight.format;
  packed->rows = weight.n;
  packed->columns = weight.k;
  packed->cpu = target;
  packed->elementType = target.has(CpuTarget::F16C) ? weight.scaleType : ElementType::F32;
  packed->zeroPoints = weight.zeroType;
  if (!weight.n)
    return std::shared_ptr<const CpuWeight>(packed);
  const Layout &order = packed->order = Layout::get(weight.format, weight.n, weight.k, target);
  if (weight.format.isMixed())
    return packMixed(std::move(packed), weight);

  std::vector<int32_t> permutation = columnsByGroup(weight);
  if (Status status = packed->allocate(weight, !permutation.empty()); !status)
    return status.error();
  uint8_t *memory = packed->storage.data();
  if (weight.format.isTable())
    fillTable(*reinterpret_cast<abi::WeightTable *>(memory + packed->tableOffset), tableOf(weight),
              1 << weight.format.bits);
  if (!permutation.empty())
    std::memcpy(memory + packed->permutationOffset, permutation.data(), permutation.size() * sizeof(int32_t));
  const std::vector<float> columnScale = columnScaleOf(weight, permutation);
  if (!columnScale.empty())
    std::memcpy(memory + packed->columnScaleOffset, columnScale.data(), columnScale.size() * sizeof(float));

  // As many codes for a thread as are worth waking it for.
  int64_t grain = std::max<int64_t>(1, (int64_t{1} << 18) / (order.lanes * weight.k));
  parallel(0, order.blocks(), grain,
           [&](int64_t begin, int64_t end) { packed->packBlocks(weight, permutation, begin, end); });
  return std::shared_ptr<const CpuWeight>(packed);
}
