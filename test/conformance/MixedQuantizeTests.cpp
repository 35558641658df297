// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Levels of the format `mixed`: every byte of the codes is the one that the host makes, which MixedTests.cpp reads.
#include "dialect/core/Half.h"
#include "runtime/MixedQuantizeArgs.h"
#include "runtime/MixedRows.h"
#include "test/conformance/Buffer.h"
#include "test/conformance/Conformance.h"
#include "test/conformance/Cover.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace bq;
using namespace bq::conformance;

namespace {

/// Less than, equal to and more than a thread's codes and a block's.
constexpr int64_t weightCounts[] = {1, 7, 8, 9, 300, 1024, 5003};
constexpr int64_t groupSizes[] = {0, 1, 3, 8, 20, 32};
/// Least and greatest width.
constexpr int widthRanges[][2] = {{1, 15}, {1, 1}, {4, 4}, {15, 15}, {2, 9}};

struct LevelCase {
  int64_t count, group;
  int least, greatest;
  ElementType dataType;
  bool hasRange; ///< Else all weights are the same.
  uint64_t seed;

  std::string name() const {
    return std::string(str(dataType)) + "_n" + std::to_string(count) + "g" + std::to_string(group) + "_b" +
           std::to_string(least) + "to" + std::to_string(greatest) + (hasRange ? "" : "_constant");
  }
};

void runLevels(MixedQuantizer &quantizer, const LevelCase &c) {
  Random random(c.seed);
  GuardedBuffer weight(c.count * sizeOf(c.dataType));
  std::vector<float> values(static_cast<size_t>(c.count));
  for (int64_t i = 0; i < c.count; ++i) {
    storeElement(c.dataType, weight.data(), i, c.hasRange ? random.unit() : 0.25f);
    values[i] = loadElement(c.dataType, weight.data(), i);
  }
  std::vector<uint8_t> bits;
  for (int64_t group = 0; group < MixedStream::groupCount(c.count, c.group); ++group)
    bits.push_back(static_cast<uint8_t>(c.least + random.below(c.greatest - c.least + 1)));
  const Expected<MixedStream> stream = MixedStream::plan(bits.data(), c.count, c.group);
  ASSERT_TRUE(stream) << stream.error().message;
  const ValueRange range = rangeOf(values.data(), c.count, &serialFor);

  std::vector<uint8_t> want(static_cast<size_t>(stream->bytes()));
  stream->write(
      bits.data(),
      [&](int64_t group, uint16_t *levels) {
        roundToLevels(values.data() + group * stream->groupSize(), stream->length(group), range.min, range.max,
                      bits[group], levels);
      },
      want.data(), &serialFor);
  GuardedBuffer codes(stream->bytes());
  stream->writeWidths(bits.data(), codes.data());
  const Status status =
      quantizer.quantizeMixed({*stream, weight.data(), c.dataType, range.min, range.max, codes.data()});
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_TRUE(codes.intactBefore());
  for (int64_t i = 0; i < stream->bytes(); ++i)
    ASSERT_EQ(codes.data()[i], want[i]) << "byte " << i << " of " << stream->bytes();
}

} // namespace

void bq::conformance::addMixedQuantizeTests(const Subject &subject, uint64_t seed) {
  auto *quantizer = dynamic_cast<MixedQuantizer *>(subject.backend);
  if (!quantizer)
    return;
  enum { Count, Group, Widths, Data, HasRange };
  size_t index = 0;
  for (const std::vector<int> &row :
       coverPairs({std::size(weightCounts), std::size(groupSizes), std::size(widthRanges), elementTypes.size(), 2}, {},
                  seed)) {
    const int *widths = widthRanges[row[Widths]];
    const LevelCase c{weightCounts[row[Count]], groupSizes[row[Group]], widths[0], widths[1], elementTypes[row[Data]],
                      row[HasRange] == 0,       caseSeed(seed, index)};
    addTest(subject, "MixedQuantize", numbered(index++) + "_" + c.name(), [=] { runLevels(*quantizer, c); });
  }
}
