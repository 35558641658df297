// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/optim/GaLoreProjector.h"

#include <ATen/ops/linalg_svd.h>

#include <algorithm>
#include <array>

using namespace bq::optim;

static constexpr const char *name = "bq::optim::GaLoreProjector";
static constexpr std::array<std::string_view, 5> projections = {"right", "left", "full", "std", "reverse_std"};

std::string_view bq::optim::str(Projection projection) { return projections[static_cast<size_t>(projection)]; }

Projection bq::optim::parseProjection(std::string_view text) {
  const auto *found = std::find(projections.begin(), projections.end(), text);
  TORCH_CHECK(found != projections.end(), name, ": projection '", text,
              "' is not known: use right, left, full, std or reverse_std");
  return static_cast<Projection>(found - projections.begin());
}

void GaLoreOptions::check() const {
  TORCH_CHECK(rank() >= 1, name, ": rank is ", rank(), ", it must be at least 1");
  TORCH_CHECK(update_proj_gap() >= 1, name, ": update_proj_gap is ", update_proj_gap(), ", it must be at least 1");
}

GaLoreProjector::GaLoreProjector(GaLoreOptions options) : galoreOptions(options) { galoreOptions.check(); }

bool GaLoreProjector::usesRight(int64_t rows, int64_t columns) const {
  switch (galoreOptions.proj_type()) {
  case Projection::Left:
    return false;
  case Projection::Right:
  case Projection::Full:
    return true;
  case Projection::Std:
    return rows >= columns;
  case Projection::ReverseStd:
    return rows < columns;
  }
  return true;
}

bool GaLoreProjector::usesLeft(int64_t rows, int64_t columns) const {
  return galoreOptions.proj_type() == Projection::Full || !usesRight(rows, columns);
}

std::vector<int64_t> GaLoreProjector::projectedShape(int64_t rows, int64_t columns) const {
  int64_t rank = std::min({galoreOptions.rank(), rows, columns});
  return {usesLeft(rows, columns) ? rank : rows, usesRight(rows, columns) ? rank : columns};
}

at::Tensor GaLoreProjector::project(const at::Tensor &gradient, int64_t step) {
  TORCH_CHECK(gradient.dim() == 2, name, ": a gradient of shape ", gradient.sizes(), " is not a matrix");
  at::NoGradGuard noGrad;
  at::Tensor matrix = gradient.scalar_type() == at::kDouble ? gradient : gradient.to(at::kFloat);
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  if ((!leftVectors.defined() && !rightVectors.defined()) || step % galoreOptions.update_proj_gap() == 0) {
    auto [u, s, vh] = at::linalg_svd(matrix, /*full_matrices=*/false);
    int64_t rank = std::min(galoreOptions.rank(), s.size(0));
    // Clones, so that what is not kept is freed.
    restore(usesLeft(rows, columns) ? u.narrow(1, 0, rank).clone() : at::Tensor(),
            usesRight(rows, columns) ? vh.narrow(0, 0, rank).t().contiguous() : at::Tensor());
  }
  TORCH_CHECK((!leftVectors.defined() || leftVectors.size(0) == rows) &&
                  (!rightVectors.defined() || rightVectors.size(0) == columns),
              name, ": a gradient of shape ", gradient.sizes(), " does not fit the space of ",
              leftVectors.defined() ? leftVectors.size(0) : rows, " rows and ",
              rightVectors.defined() ? rightVectors.size(0) : columns, " columns");
  if (leftVectors.defined())
    matrix = leftVectors.t().matmul(matrix);
  return rightVectors.defined() ? matrix.matmul(rightVectors) : matrix;
}

at::Tensor GaLoreProjector::projectBack(const at::Tensor &lowRank) const {
  at::Tensor matrix = lowRank;
  if (leftVectors.defined())
    matrix = leftVectors.matmul(matrix);
  if (rightVectors.defined())
    matrix = matrix.matmul(rightVectors.t());
  return matrix * galoreOptions.scale();
}

void GaLoreProjector::restore(at::Tensor left, at::Tensor right) {
  leftVectors = std::move(left);
  rightVectors = std::move(right);
}
