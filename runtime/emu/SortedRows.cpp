// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/SortedRows.h"

#include "runtime/CodeBits.h"
#include "runtime/WeightParts.h"

#include <cstring>

using namespace bq;

Status emu::dequantizeSorted(const CanonicalWeight &weight, const std::vector<int32_t> &columns, const int64_t *indices,
                             int64_t count, void *y,
                             const std::function<Status(const CanonicalWeight &sorted, void *values)> &dequantize) {
  const int64_t k = weight.k, rowBytes = weight.format.rowBytes(k), element = sizeOf(weight.scaleType);
  std::vector<uint8_t> codes(k), sortedCodes(k), packed(weight.n * rowBytes), values(weight.n * k * element);
  for (int64_t row = 0; row < weight.n; ++row) {
    unpackCodes(weight.codes + row * rowBytes, weight.format.bits, k, codes.data());
    for (int64_t c = 0; c < k; ++c)
      sortedCodes[c] = codes[columns[c]];
    packCodes(sortedCodes.data(), weight.format.bits, k, packed.data() + row * rowBytes);
  }
  CanonicalWeight sorted = weight;
  sorted.codes = packed.data();
  sorted.groupIndex = nullptr;
  if (Status status = dequantize(sorted, values.data()); !status)
    return status;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t c = 0; c < k; ++c)
      std::memcpy(static_cast<uint8_t *>(y) + (i * k + columns[c]) * element,
                  values.data() + ((indices ? indices[i] : i) * k + c) * element, element);
  return {};
}

std::vector<float> emu::repeatedTable(const CanonicalWeight &weight) {
  std::vector<float> table;
  const int codes = 1 << weight.format.bits;
  for (int i = 0; weight.format.isTable() && i < 16; ++i)
    table.push_back(tableOf(weight)[i % codes]);
  return table;
}
