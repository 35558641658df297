// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Gradients of matrices projected onto a space of low rank (GaLore, Zhao et al. 2024), where an optimizer keeps its
/// moments.
#ifndef BQ_QUANTIZERS_OPTIM_GALOREPROJECTOR_H
#define BQ_QUANTIZERS_OPTIM_GALOREPROJECTOR_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>
#include <torch/arg.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bq::optim {

/// Which singular vectors of a gradient [R, C] span the space, and so the shape of what is projected.
enum class Projection {
  Right,      ///< [R, rank]
  Left,       ///< [rank, C]
  Full,       ///< [rank, rank]
  Std,        ///< Right where R >= C, else Left
  ReverseStd, ///< Left where R >= C, else Right
};

/// "right", "left", "full", "std", "reverse_std".
BQ_TORCH_API std::string_view str(Projection projection);
/// Throws, naming the text and what is accepted.
BQ_TORCH_API Projection parseProjection(std::string_view text);

struct BQ_TORCH_API GaLoreOptions {
  /// Singular vectors kept, at least 1; where a gradient has fewer, all of them.
  explicit GaLoreOptions(int64_t rank) : rank_(rank) {}
  TORCH_ARG(int64_t, rank);
  /// Steps between two choices of the space, at least 1.
  TORCH_ARG(int64_t, update_proj_gap) = 200;
  /// Factor of what comes back.
  TORCH_ARG(double, scale) = 1;
  TORCH_ARG(Projection, proj_type) = Projection::Std;

public:
  /// Throws, naming the option, its value and its range.
  void check() const;
  friend bool operator==(const GaLoreOptions &a, const GaLoreOptions &b) {
    return a.rank() == b.rank() && a.update_proj_gap() == b.update_proj_gap() && a.scale() == b.scale() &&
           a.proj_type() == b.proj_type();
  }
};

/// The space of one parameter. Not for several threads at once.
class BQ_TORCH_API GaLoreProjector {
public:
  /// Throws where an option is out of its range.
  explicit GaLoreProjector(GaLoreOptions options);

  /// `gradient` [R, C] in the space, in float, or double where it is. Where `step`, the steps done before this one, is
  /// a multiple of the gap, or the projector is new, the space is first chosen from the gradient's singular vectors.
  /// Throws for a gradient that is not a matrix, and for one of another shape than that of the space.
  at::Tensor project(const at::Tensor &gradient, int64_t step);
  /// The inverse within the space, times scale: [R, C].
  at::Tensor projectBack(const at::Tensor &lowRank) const;
  /// The shape that project() gives a gradient [rows, columns].
  std::vector<int64_t> projectedShape(int64_t rows, int64_t columns) const;

  const GaLoreOptions &options() const { return galoreOptions; }
  /// Columns that span the row space of a gradient, [C, rank]; not defined where that is not used, or before the first
  /// project(). With left(), all there is to save.
  const at::Tensor &right() const { return rightVectors; }
  /// Columns that span the column space, [R, rank].
  const at::Tensor &left() const { return leftVectors; }
  /// Continues with a space that left() and right() gave; either may be undefined.
  void restore(at::Tensor left, at::Tensor right);

private:
  bool usesRight(int64_t rows, int64_t columns) const;
  bool usesLeft(int64_t rows, int64_t columns) const;

  GaLoreOptions galoreOptions;
  at::Tensor leftVectors, rightVectors;
};

} // namespace bq::optim

#endif // BQ_QUANTIZERS_OPTIM_GALOREPROJECTOR_H
