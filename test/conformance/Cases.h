// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The levels that cases are made of, shared by the parts of the suite.
#ifndef BQ_TEST_CONFORMANCE_CASES_H
#define BQ_TEST_CONFORMANCE_CASES_H

#include "dialect/core/Format.h"
#include "dialect/core/Types.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace bq::conformance {

/// A format without its group size, and how its zero points are stored.
struct WeightKind {
  Format format;
  ZeroPointType zeroType = ZeroPointType::None;

  /// The format with groups of `group` (0 = whole row), where it has groups.
  Format grouped(int64_t group) const;
};

/// Every format of the grammar; uint with both kinds of zero points.
const std::vector<WeightKind> &weightKinds();

constexpr std::array<ElementType, 3> elementTypes = {ElementType::F32, ElementType::F16, ElementType::BF16};
constexpr std::array<Compute, 4> computes = {Compute::F32, Compute::BF16, Compute::I16, Compute::I8};
constexpr std::array<Activation, 5> activations = {Activation::None, Activation::Relu, Activation::Gelu,
                                                   Activation::GeluTanh, Activation::Silu};

/// Below, at and above the lane counts 4, 8 and 16 and their multiples; odd, prime, large.
constexpr std::array<int64_t, 18> rowCounts = {1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 37, 47, 48, 49, 65, 300};
/// Below, at and above vectors, segments (256 at most) and groups; odd, prime, large.
constexpr std::array<int64_t, 20> columnCounts = {1,  2,  7,   15,  16,  17,  31,  32,  33,  64,
                                                  65, 97, 100, 127, 128, 255, 257, 384, 640, 1000};
/// Fewer of them, for what is done row by row, in steps of 16 and without segments.
constexpr std::array<int64_t, 10> shortColumnCounts = {1, 7, 15, 16, 17, 33, 100, 128, 257, 640};
/// 0 = the whole row; powers of two or not; longer than a segment.
constexpr std::array<int64_t, 10> groupSizes = {0, 1, 7, 16, 20, 32, 64, 100, 128, 300};

/// Bits of activations with one scale; 0 = as `compute` takes them.
constexpr std::array<int, 6> activationBits = {0, 1, 2, 3, 4, 8};

/// Rows that a kernel for GPUs parts among several blocks of threads, or whose groups take a whole block.
struct LongRow {
  int64_t k, group;
};
constexpr std::array<LongRow, 5> longRows = {{{1028, 0}, {2100, 12}, {2060, 1030}, {4096, 128}, {8244, 1025}}};

/// Such as uint4g32zf32sbf16: format, type of the zero points, type of the scales.
std::string weightName(const Format &format, ZeroPointType zeroType, ElementType scaleType);

/// `index` with leading zeros, so that names sort as they were made.
std::string numbered(size_t index);

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_CASES_H
