// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mixed weights are multiplied with as they are saved: what is made beside their codes says where groups begin.
#include "dialect/core/MixedIndex.h"
#include "runtime/MixedPlaces.h"
#include "runtime/MixedRows.h"
#include "runtime/cpu/CpuWeight.h"

#include <cstring>

using namespace bq;

using abi::MixedIndex;

Expected<std::shared_ptr<const CpuWeight>> CpuWeight::packMixed(std::shared_ptr<CpuWeight> packed,
                                                                const CanonicalWeight &weight) {
  const MixedPart &part = weight.mixed;
  const Expected<MixedStream> stream = MixedStream::parse(weight);
  if (!stream)
    return stream.error();
  const std::vector<uint32_t> ranks = mixedTaskRanks(*stream, weight.codes, part.firstRow, weight.n, weight.k);

  size_t size = 0;
  reserve(size, part.owner ? 0 : part.codeBytes + MixedIndex::slack);
  packed->scaleOffset = reserve(size, 2 * sizeof(float));
  packed->tableOffset = reserve(size, sizeof(MixedIndex));
  packed->zeroOffset = reserve(size, ranks.size() * sizeof(uint32_t));
  if (part.taps > 1)
    packed->permutationOffset = reserve(size, weight.k * sizeof(int32_t));
  Expected<AlignedBuffer> memory = AlignedBuffer::allocate(size);
  if (!memory)
    return memory.error();
  packed->storage = std::move(*memory);

  uint8_t *to = packed->storage.data();
  if (part.owner) {
    packed->borrowed = weight.codes;
    packed->owner = part.owner;
    // Once for all weights that are parts of a stream.
    if (!part.firstRow)
      moveToHugePages(weight.codes, part.codeBytes);
  } else {
    std::memcpy(to, weight.codes, part.codeBytes);
  }
  std::memcpy(to + packed->scaleOffset, weight.scales, 2 * sizeof(float));
  *reinterpret_cast<MixedIndex *>(to + packed->tableOffset) = mixedIndex(*stream, part.firstRow);
  std::memcpy(to + packed->zeroOffset, ranks.data(), ranks.size() * sizeof(uint32_t));
  const std::vector<int32_t> columns = mixedColumns(weight.k, part.taps);
  if (!columns.empty())
    std::memcpy(to + packed->permutationOffset, columns.data(), columns.size() * sizeof(int32_t));
  return std::shared_ptr<const CpuWeight>(std::move(packed));
}
