// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What cases of linear layers and of their gradients have in common.
#ifndef BQ_TEST_CONFORMANCE_PRODUCTCASE_H
#define BQ_TEST_CONFORMANCE_PRODUCTCASE_H

#include "test/conformance/Cases.h"
#include "test/conformance/Matrix.h"
#include "test/conformance/RowValues.h"
#include "test/conformance/Weight.h"

#include <functional>
#include <string>
#include <vector>

namespace bq::conformance {

struct ProductCase {
  WeightShape weight;
  Compute compute = Compute::F32;
  int64_t m = 1;
  ElementType dataType = ElementType::F32;
  bool stridedX = false, stridedY = false;
  RowValues x = RowValues::Normal;
  int parallel = 0;
  uint64_t seed = 0;

  std::string name() const;
};

/// body(case, own) for cases in which every pair of levels occurs, and every format with every compute and each of the
/// four classes of M. `own`: how many levels each factor has that only this part has, and then the level of each.
void forEachProductCase(const std::vector<Compute> &computes, const std::vector<int> &own, uint64_t seed,
                        const std::function<void(const ProductCase &c, const std::vector<int> &own)> &body);

/// Kinds for sums that are long.
const std::vector<WeightKind> &longKinds();

/// x [m, inputs] of a case, also contiguous, and a y [m, outputs] for it.
struct ProductOperands {
  std::vector<float> values;
  Matrix x, y;

  ProductOperands(const ProductCase &c, int64_t inputs, int64_t outputs, Random &random);
};

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_PRODUCTCASE_H
