// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The text of a pipelined matrix product, made as generated kernels are.
#ifndef BQ_TEST_UNIT_EMU_PRODUCTKERNEL_H
#define BQ_TEST_UNIT_EMU_PRODUCTKERNEL_H

#include <string>

namespace bq::emu {

/// c [m, n] = a [m, k] * b [n, k]^T of bf16, 64 x 16 elements in a block of four warps. Parts of 64 columns come
/// through a ring of four stages; the 16-byte pieces of a row lie in an order that depends on the row.
inline const std::string productKernel = R"(
extern "C" __global__ void __launch_bounds__(128)
test(const int16_t *a, const int16_t *b, float *c, int32_t m, int32_t n, int32_t k) {
  int16_t *aShared = bq_shared<int16_t>(0);
  int16_t *bShared = bq_shared<int16_t>(4 * 8192);
  int32_t thread = bq_thread(), lane = thread % 32, warp = thread / 32;
  int32_t row = bq_block_x() * 64, column = bq_block_y() * 16;
  auto fetch = [&](int32_t part, int32_t stage) {
    for (int32_t i = thread; i < 512 + 128; i += 128) {
      int32_t line = i / 8 % 64, piece = i % 8, first = part * 64 + piece * 8;
      bool isA = i < 512;
      bool inside = first < k && (isA ? row + line < m : column + line < n);
      int64_t source = (int64_t)(isA ? row + line : column + line) * k + first;
      int32_t target = stage * (isA ? 4096 : 1024) + line * 64 + (piece ^ line % 8) * 8;
      bq_copy_async((isA ? aShared : bShared) + target, (isA ? a : b) + source, inside ? 16 : 0);
    }
  };
  bq_f32x4 sums[2] = {bq_pack_f32x4(0, 0, 0, 0), bq_pack_f32x4(0, 0, 0, 0)};
  int32_t parts = (k + 63) / 64;
  for (int32_t part = 0; part < 3; ++part) {
    fetch(part, part);
    bq_commit_copies();
  }
  for (int32_t part = 0; part < parts; ++part) {
    bq_wait_copies<2>();
    bq_barrier();
    fetch(part + 3, (part + 3) % 4);
    bq_commit_copies();
    int32_t stage = part % 4;
    for (int32_t step = 0; step < 4; ++step) {
      int32_t line = warp * 16 + lane % 16, piece = step * 2 + lane / 16;
      bq_i32x4 x = bq_ldmatrix(aShared + stage * 4096 + line * 64 + (piece ^ line % 8) * 8);
      line = lane % 8 + lane / 16 * 8;
      piece = step * 2 + lane / 8 % 2;
      bq_i32x4 y = bq_ldmatrix(bShared + stage * 1024 + line * 64 + (piece ^ line % 8) * 8);
      sums[0] = bq_mma_bf16(x, bq_pack_i32x2(y.x, y.y), sums[0]);
      sums[1] = bq_mma_bf16(x, bq_pack_i32x2(y.z, y.w), sums[1]);
    }
  }
  for (int32_t i = 0; i < 4; ++i) {
    int32_t line = row + warp * 16 + lane / 4 + i % 2 * 8, first = column + i / 2 * 8 + lane % 4 * 2;
    bq_f32x4 sum = sums[i / 2];
    if (line < m && first < n)
      bq_store(c + (int64_t)line * n + first, i % 2 ? bq_pack_f32x2(sum.z, sum.w) : bq_pack_f32x2(sum.x, sum.y));
  }
}
)";

} // namespace bq::emu

#endif // BQ_TEST_UNIT_EMU_PRODUCTKERNEL_H
