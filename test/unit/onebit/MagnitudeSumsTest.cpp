// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The pass over magnitudes gives what the same sums give in double, for any shape and any number of threads.
#include "quantizers/onebit/MagnitudeSums.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

using namespace bq::onebit;

using at::Tensor;

namespace {

constexpr double unit = 0x1p-24;

Tensor magnitudes(const Tensor &weight, Magnitude magnitude) {
  Tensor wide = weight.to(at::kDouble);
  return magnitude == Magnitude::Square ? wide.square() : wide.abs();
}

/// A row is summed in float: each of its K terms goes through at most K + 3 roundings (the square, the factor, the
/// product and the sums), and all are positive. A column likewise over 64 rows. `next` then inherits the row's error.
void check(const Tensor &weight, Magnitude magnitude, RowStep step) {
  const double floor = 1e-6;
  Tensor rowFactors = at::rand({weight.size(0)}, at::kDouble) + 0.5;
  Tensor columnFactors = at::rand({weight.size(1)}, at::kDouble) + 0.5;
  MagnitudeSums sums = magnitudeSums(weight, magnitude, rowFactors, columnFactors, step, floor);

  Tensor e = magnitudes(weight, magnitude);
  Tensor rows = rowFactors * at::mv(e, columnFactors);
  const double rowBound = (weight.size(1) + 5) * unit;
  EXPECT_TRUE(at::allclose(sums.rows, rows, rowBound, 0)) << weight.sizes();
  Tensor next = step == RowStep::Divide ? rowFactors / rows.clamp_min(floor) : rowFactors * rows;
  EXPECT_TRUE(at::allclose(sums.next, next, rowBound + 3 * unit, 0)) << weight.sizes();
  Tensor columns = at::mv(e.t(), sums.next);
  EXPECT_TRUE(at::allclose(sums.columns, columns, (64 + 3) * unit, 0)) << weight.sizes();
}

} // namespace

TEST(MagnitudeSums, AreThoseOfDoublePrecision) {
  at::manual_seed(1);
  for (Magnitude magnitude : {Magnitude::Absolute, Magnitude::Square})
    for (RowStep step : {RowStep::Multiply, RowStep::Divide})
      // Fewer rows than a tile, a tile, a chunk and a part; fewer columns than a vector, whole vectors, and more.
      for (int64_t n : {1, 4, 63, 64, 131})
        for (int64_t k : {1, 15, 16, 33, 200})
          check(at::randn({n, k}), magnitude, step);
}

TEST(MagnitudeSums, DividesByNoLessThanTheFloor) {
  Tensor weight = at::zeros({2, 5});
  weight[1] = 1;
  MagnitudeSums sums = magnitudeSums(weight, Magnitude::Absolute, at::ones({2}, at::kDouble),
                                     at::ones({5}, at::kDouble), RowStep::Divide, 0.5);
  EXPECT_EQ(sums.next[0].item<double>(), 2.0);
  EXPECT_FLOAT_EQ(sums.next[1].item<double>(), 0.2f);
}

// In double, where there is no kernel for the weight's device: in parts of 2^22 elements.
TEST(MagnitudeSums, ByLibTorchAreThose) {
  at::manual_seed(3);
  for (Magnitude magnitude : {Magnitude::Absolute, Magnitude::Square})
    for (RowStep step : {RowStep::Multiply, RowStep::Divide})
      for (auto [n, k] : {std::pair<int64_t, int64_t>(9, 33), {9, 1 << 19}, {0, 7}, {7, 0}}) {
        const Tensor weight = at::randn({n, k}), e = magnitudes(weight, magnitude);
        const Tensor rowFactors = at::rand({n}, at::kDouble) + 0.5, columnFactors = at::rand({k}, at::kDouble) + 0.5;
        const MagnitudeSums sums = magnitudeSumsByTorch(weight, magnitude, rowFactors, columnFactors, step, 1e-6);
        // K products and their sum, each rounded to double; twice that, as the expected sum is rounded, too.
        const double bound = 2 * static_cast<double>(k + n + 5) * 0x1p-53;
        const Tensor rows = rowFactors * at::mv(e, columnFactors);
        EXPECT_TRUE(at::allclose(sums.rows, rows, bound, 0)) << weight.sizes();
        const Tensor next = step == RowStep::Divide ? rowFactors / rows.clamp_min(1e-6) : rowFactors * rows;
        EXPECT_TRUE(at::allclose(sums.next, next, bound, 0)) << weight.sizes();
        EXPECT_TRUE(at::allclose(sums.columns, at::mv(e.t(), next), 2 * bound, 0)) << weight.sizes();
      }
}

// A tensor without data has nothing that could come to the host.
TEST(MagnitudeSums, StayOnTheDeviceOfTheWeight) {
  const at::TensorOptions doubles = at::device(at::kMeta).dtype(at::kDouble);
  const MagnitudeSums sums = magnitudeSums(at::empty({9, 33}, at::kMeta), Magnitude::Square, at::empty({9}, doubles),
                                           at::empty({33}, doubles), RowStep::Divide, 1e-6);
  EXPECT_TRUE(sums.rows.is_meta() && sums.next.is_meta() && sums.columns.is_meta());
  EXPECT_EQ(sums.rows.sizes(), at::IntArrayRef({9}));
  EXPECT_EQ(sums.columns.sizes(), at::IntArrayRef({33}));
}

TEST(MagnitudeSums, DoNotDependOnThreads) {
  at::manual_seed(2);
  Tensor weight = at::randn({300, 1000});
  auto run = [&](int threads) {
    at::set_num_threads(threads);
    return magnitudeSums(weight, Magnitude::Absolute, at::ones({300}, at::kDouble), at::ones({1000}, at::kDouble),
                         RowStep::Multiply, 0);
  };
  const int before = at::get_num_threads();
  MagnitudeSums one = run(1), two = run(2);
  at::set_num_threads(before);
  EXPECT_TRUE(at::equal(one.rows, two.rows));
  EXPECT_TRUE(at::equal(one.next, two.next));
  EXPECT_TRUE(at::equal(one.columns, two.columns));
}
