// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Products with a weight as the reference backend does them, in double precision.
#ifndef BQ_RUNTIME_REFERENCE_REFERENCELINEAR_H
#define BQ_RUNTIME_REFERENCE_REFERENCELINEAR_H

#include "runtime/Backend.h"

#include <vector>

namespace bq::reference {

/// The weight, one double for each element.
class ReferenceWeight final : public PrepackedWeight {
public:
  /// `weight` has been verified.
  explicit ReferenceWeight(const CanonicalWeight &weight);

  const Format &format() const override { return weightFormat; }
  int64_t n() const override { return rows; }
  int64_t k() const override { return columns; }
  int64_t bytes() const override { return static_cast<int64_t>(values.size() * sizeof(double)); }

  const double *row(int64_t row) const { return values.data() + row * columns; }
  /// Whether columns have scales or factors.
  bool hasColumnScale() const { return isColumnScaled; }

private:
  Format weightFormat;
  int64_t rows, columns;
  bool isColumnScaled;
  std::vector<double> values;
};

/// q of LinearArgs::activationBits for one value: one division in f32, rounded to nearest even; NaN stays NaN.
double quantizeActivation(float x, float scale, int bits);

/// Where column `column` of row `row` of the product is in the images (abi::Conv2dGeometry), in elements; -1 where it
/// is padding. `k`: columns of a row.
int64_t patchElement(const abi::Conv2dGeometry &geometry, int64_t k, int64_t row, int64_t column);

/// Backend::linear.
Status runLinear(const ReferenceWeight &weight, const LinearArgs &args, ParallelFor parallel);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_REFERENCELINEAR_H
