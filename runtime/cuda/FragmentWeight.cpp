// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/cuda/FragmentWeight.h"

#include "dialect/core/Half.h"
#include "runtime/MixedPlaces.h"
#include "runtime/WeightParts.h"

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

FragmentWeight::Part FragmentWeight::reserve(int64_t bytes) {
  constexpr int64_t alignment = 64;
  const Part part{size, bytes};
  size += (bytes + alignment - 1) / alignment * alignment;
  return part;
}

FragmentWeight::FragmentWeight(const CanonicalWeight &weight, int64_t groups)
    : weightFormat(weight.format), rows(weight.n), columns(weight.k), elementType(weight.scaleType),
      zeroPoints(weight.zeroType) {
  if (!rows)
    return;
  order = FragmentLayout::get(weightFormat, rows, columns);
  if (weightFormat.isMixed()) {
    describeMixed(weight, groups);
    return;
  }
  codes = reserve(order.codeBytes());
  scales = reserve(order.scaleCount() * sizeOf(elementType));
  zeros = reserve(order.scaleCount() * zeroPointBytes(zeroPoints));
  columnScale = reserve(weightFormat.hasColumnScale() ? columns * 4 : 0);

  const std::vector<int32_t> columnOrder = columnsByGroup(weight);
  permutation = reserve(static_cast<int64_t>(columnOrder.size() * sizeof(int32_t)));
  table = reserve(weightFormat.isTable() ? sizeof(cuda::WeightTable) : 0);
  constants = {permutation.offset, size - permutation.offset};
  constantMemory.resize(constants.bytes);
  if (permutation)
    std::memcpy(constantMemory.data(), columnOrder.data(), permutation.bytes);
  if (table) {
    cuda::WeightTable forms;
    fillTable(forms, tableOf(weight), 1 << weightFormat.bits);
    std::memcpy(constantMemory.data() + table.offset - constants.offset, &forms, sizeof(forms));
  }
}

void FragmentWeight::describeMixed(const CanonicalWeight &weight, int64_t groups) {
  const MixedStream stream = *MixedStream::parse(weight);
  const std::vector<uint32_t> places = mixedPlaces(stream, weight.codes);
  const std::vector<int32_t> columnOrder = mixedColumns(columns, weight.mixed.taps);
  auto add = [&](const void *from, size_t bytes) {
    const Part part = reserve(static_cast<int64_t>(bytes));
    constantMemory.resize(size);
    if (bytes)
      std::memcpy(constantMemory.data() + part.offset, from, bytes);
    return part;
  };
  scales = add(weight.scales, 2 * sizeof(float));
  zeros = add(places.data(), places.size() * sizeof(uint32_t));
  permutation = add(columnOrder.data(), columnOrder.size() * sizeof(int32_t));
  std::vector<abi::MixedIndex> indices;
  for (int64_t group = 0; group < groups; ++group)
    indices.push_back(mixedIndex(stream, weight.mixed.firstRow + group * rows));
  table = add(indices.data(), indices.size() * sizeof(abi::MixedIndex));
  constants = {0, size};
}

FragmentWeight FragmentWeight::group(int64_t i) const {
  FragmentWeight result = *this;
  result.table = {table.offset + i * static_cast<int64_t>(sizeof(abi::MixedIndex)), sizeof(abi::MixedIndex)};
  result.size = 0;
  result.constants = {};
  result.constantMemory.clear();
  return result;
}

KernelSpec FragmentWeight::prepackSpec() const {
  KernelSpec spec;
  spec.op = KernelSpec::Op::Prepack;
  spec.format = weightFormat;
  spec.k = columns;
  spec.scaleType = elementType;
  spec.zeroType = zeroPoints;
  spec.permuted = static_cast<bool>(permutation);
  return spec;
}
