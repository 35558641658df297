// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What is made of a canonical weight beside its prepacked form: one form for each group of a convolution, and on the
/// CPU the forms that gradients with respect to an input multiply with.
#ifndef BQ_QUANTIZERS_WEIGHTFORMS_H
#define BQ_QUANTIZERS_WEIGHTFORMS_H

#include "quantizers/Tensors.h"

#include <memory>
#include <vector>

namespace bq {

/// How the rows and columns of a weight [N, K] belong to a convolution: its rows are `groups` groups of as many
/// outputs, its columns `taps` taps of as many channels. A linear layer has one of each.
struct WeightLayout {
  int64_t taps = 1, groups = 1;
  bool isDirect = false; ///< The CPU's kernels take all groups together (Conv2dShape::isDirect).

  friend bool operator==(const WeightLayout &l, const WeightLayout &r) {
    return l.taps == r.taps && l.groups == r.groups && l.isDirect == r.isDirect;
  }
};

/// The prepacked weights of the groups. Immutable.
///
/// Where kernels take all groups, that is the weight as it is. Else products have at least 16 rows to do: small groups
/// whose rows have one scale each are taken together, as one weight whose other codes mean zero. Then a patch is that
/// of all of them: its greatest value, and whether it holds a NaN.
struct GroupedWeight {
  WeightLayout layout;
  int64_t together = 1;  ///< Groups of the convolution in each product.
  bool isDirect = false; ///< The one product is that of all groups (abi::Conv2dGeometry::groups).
  std::vector<std::shared_ptr<const PrepackedWeight>> products;

  int64_t bytes() const;
};

/// The weight with inputs and outputs exchanged, for dx[k] = sum over n of dy[n] W[n, k]. Immutable.
///
/// Channels of a conv group whose codes have scales in common are a part: a prepacked weight
/// [channels, taps * outputs of a group] in the order k' = tap * outputs + o, of the same codes with scales of 1, whose
/// columns have the scales as factors. Zero points are taken off by `offset`. Small groups are taken together, as in
/// GroupedWeight.
struct TransposedWeight {
  struct Part {
    std::shared_ptr<const PrepackedWeight> weight;
    int64_t group, channel; ///< The first, counted among all of the convolution.
  };
  WeightLayout layout;
  int64_t n = 0, k = 0;
  std::vector<Part> parts;
  int64_t partChannels = 0; ///< Of a part; the last of a linear layer may have fewer.
  /// float [N, taps, parts of a group]: scale * (zero - the zero point that the parts have); not defined where the
  /// format has no zero points.
  at::Tensor offset;
  at::Tensor columns; ///< int64 [K]: where the columns of the parts belong, for a group index; else not defined.

  int64_t bytes() const;
};

/// The weight must have passed checkWeight() and have rows and columns, which must divide as `layout` says. `device`:
/// where the products are taken, and all is done.
std::shared_ptr<const GroupedWeight> makeGrouped(const char *op, const WeightTensors &weight, const Format &format,
                                                 int64_t k, const WeightLayout &layout, at::Device device = at::kCPU);
/// Whether makeTransposed() can, of a weight on the CPU: not of mixed; where a tap's channels and a group of codes do
/// not divide each other, and for `sign` with several taps, an output has no scale that a part's channels have in
/// common.
bool canTranspose(const Format &format, int64_t k, const WeightLayout &layout);
std::shared_ptr<const TransposedWeight> makeTransposed(const char *op, const WeightTensors &weight,
                                                       const Format &format, int64_t k, const WeightLayout &layout);

} // namespace bq

#endif // BQ_QUANTIZERS_WEIGHTFORMS_H
