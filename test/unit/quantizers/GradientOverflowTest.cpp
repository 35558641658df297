// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Gradients with respect to an input whose products with scales overflow f32, on the CPU and on a GPU.
#include "GpuFixture.h"
#include "quantizers/PackedWeight.h"
#include "quantizers/cuda/GpuLinear.h"

#include <torch/csrc/autograd/autograd.h>

using namespace bq;
using namespace bq::test;

using GradientOverflowTest = GpuTest;

TEST_F(GradientOverflowTest, StaysWithTheRowAndTheColumnsOfTheScale) {
  TestWeight weight("int4:g16", 16, 32, at::kFloat);
  weight.tensors.codes[3][0] = 0; // Columns 0 and 1, which the sum does not need.
  weight.tensors.scales[3][0] = 1e10;
  const auto packed = c10::make_intrusive<PackedWeight>(weight.tensors.codes, weight.tensors.scales, std::nullopt,
                                                        weight.format, std::vector<int64_t>{16, 32});
  at::Tensor dy = at::randn({2, 16});
  dy[0][3] = 1e30;
  for (Compute compute : {Compute::F32, Compute::BF16}) {
    const LinearRows rows{dy, {}, at::empty({2, 32})};
    EXPECT_TRUE(gpu::linearInputGradient("test", place(), rows, weight.onGpu(place()), compute));
    const at::Tensor x = at::zeros({2, 32}).requires_grad_();
    const at::Tensor here = torch::autograd::grad({packed->linear(x, std::nullopt, compute)}, {x}, {dy}).front();
    const at::Tensor wide = dy.to(at::kDouble), decoded = weight.decoded(at::kFloat).to(at::kDouble);
    const at::Tensor exact = at::matmul(wide, decoded), sizes = at::matmul(wide.abs(), decoded.abs());
    // Products of dy and scales, and their codes, are rounded in bf16; sums of 16 products to f32.
    const at::Tensor bound = sizes * ((compute == Compute::BF16 ? 0x1.01p-7 : 0) + 40 * 0x1p-24);
    for (const at::Tensor &dx : {rows.y, here}) {
      EXPECT_FALSE(dx[0].slice(0, 0, 16).isfinite().any().item<bool>()) << dx;
      auto isRight = [&](const at::Tensor &part, const at::Tensor &want, const at::Tensor &most) {
        return (part - want).abs().le(most).all().item<bool>();
      };
      EXPECT_TRUE(isRight(dx[0].slice(0, 16), exact[0].slice(0, 16), bound[0].slice(0, 16))) << dx;
      EXPECT_TRUE(isRight(dx[1], exact[1], bound[1])) << dx;
    }
  }
  EXPECT_EQ(fake.fault, "");
}
