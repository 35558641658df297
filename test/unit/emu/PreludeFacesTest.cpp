// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels may call the same functions on a device and on the emulator.
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Prelude.h"
#include "codegen/cuda/Resources.h"
#include "test/unit/emu/ProductKernel.h"
#include "test/unit/emu/Support.h"

#include <gmock/gmock.h>

#include <set>

using namespace bq;
using namespace bq::emu;

namespace {

/// Calls every function of the prelude, for every type that it takes.
const std::string everything = R"(
extern "C" __global__ void __launch_bounds__(128)
everything(const int8_t *i8, const int16_t *i16, const int32_t *i32, const int64_t *i64, const float *f32, int8_t *to8,
           int16_t *to16, int32_t *to32, int64_t *to64, float *toFloat, int32_t n) {
  int32_t t = bq_thread(), block = bq_block_x() + bq_block_y() + bq_block_z();
  int32_t *shared32 = bq_shared<int32_t>(0);
  float *sharedFloat = bq_shared<float>(8192);
  int8_t *shared8 = bq_shared<int8_t>(16384);
  int16_t *shared16 = bq_shared<int16_t>(16512);
  int64_t *shared64 = bq_shared<int64_t>(20480);
  bq_copy_async(shared32 + 4 * t, i32 + 4 * t, n);
  bq_commit_copies();
  bq_wait_copies<0>();
  bq_barrier();

  int32_t v = bq_load<int32_t>(i8 + t) + bq_load<int32_t>(i16 + t) + bq_load<int32_t>(i32 + t);
  v += bq_load_streamed<int32_t>(i8 + t) + bq_load_streamed<int32_t>(i16 + t) + bq_load_streamed<int32_t>(i32 + t);
  v += bq_load_fresh<int32_t>(i8 + t) + bq_load_fresh<int32_t>(i16 + t) + bq_load_fresh<int32_t>(i32 + t);
  int64_t l = bq_address(i32) % 16 + bq_load<int64_t>(i64 + t) + bq_load_streamed<int64_t>(i64 + t + 1) + bq_load_fresh<int64_t>(i64 + t + 2);
  float f = bq_load<float>(f32 + t) + bq_load_streamed<float>(f32 + t + 1) + bq_load_fresh<float>(f32 + t + 2);
  bq_i32x2 a2 = bq_load<bq_i32x2>(i32 + 2 * t), b2 = bq_load_streamed<bq_i32x2>(i32 + 2 * t);
  bq_f32x2 f2 = bq_load<bq_f32x2>(f32 + 2 * t), g2 = bq_load_streamed<bq_f32x2>(f32 + 2 * t);
  bq_i32x4 a4 = bq_load<bq_i32x4>(i32 + 4 * t), b4 = bq_load_streamed<bq_i32x4>(i32 + 4 * t);
  bq_f32x4 f4 = bq_load<bq_f32x4>(f32 + 4 * t), g4 = bq_load_streamed<bq_f32x4>(f32 + 4 * t);
  v += bq_load_fresh<bq_i32x2>(i32 + 2 * t).y + bq_load_fresh<bq_i32x4>(i32 + 4 * t).w;
  f += bq_load_fresh<bq_f32x2>(f32 + 2 * t).y + bq_load_fresh<bq_f32x4>(f32 + 4 * t).w;

  bq_i32x4 m4 = bq_ldmatrix(shared32 + 4 * t);
  bq_f32x4 sums = bq_mma_f16(b4, b2, bq_mma_bf16(a4, a2, f4));
  bq_i32x4 counts = bq_mma_u8s8(m4, a2, bq_pack_i32x4(bq_element<0>(b4), bq_element<1>(b4), b4.z, b4.w));
  v += bq_transpose(v);
  f += bq_shuffle_xor(f, 16);
  v += bq_shuffle_xor(v, 1);
  bq_barrier();

  bq_store_shared(shared8 + t, v);
  bq_store_shared(shared16 + t, v);
  bq_store_shared(shared32 + t, v);
  bq_store_shared(shared64 + t, l);
  bq_store_shared(sharedFloat + 4 * t, bq_pack_f32x4(sums.x + g4.x, sums.y, sums.z, bq_element<3>(sums)));
  bq_barrier();
  int32_t next = (t + 1) % 128;
  v += bq_load_shared<int32_t>(shared8 + next) + bq_load_shared<int32_t>(shared16 + next);
  v += bq_load_shared<int32_t>(shared32 + next) + bq_load_shared<bq_i32x2>(shared32 + 2 * (next / 2)).x;
  l += bq_load_shared<int64_t>(shared64 + next);
  f += bq_load_shared<float>(sharedFloat + next) + bq_load_shared<bq_f32x4>(sharedFloat + 4 * next).x;

  v = bq_logic3<0xea>(bq_permute_bytes(v, n, 0x5140), bq_bits(f), n);
  v ^= bq_shift_left(v, 3) + bq_shift_right_logical(v, 4) + bq_shift_right_arithmetic(v, 5);
  l ^= bq_shift_left(l, (int64_t)3) + bq_shift_right_logical(l, (int64_t)4) + bq_shift_right_arithmetic(l, (int64_t)5);
  v ^= bq_min_signed(v, n) ^ bq_max_signed(v, block) ^ bq_min_unsigned(v, n) ^ bq_max_unsigned(v, n);
  int64_t wide = n;
  l ^= bq_min_signed(l, wide) ^ bq_max_signed(l, wide) ^ bq_min_unsigned(l, wide) ^ bq_max_unsigned(l, wide);
  f += bq_float(v) + bq_f32_from_f16(v) + bq_f32_from_bf16(v);
  v ^= bq_add_bf16x2(v, n) ^ bq_f16_from_f32(f) ^ bq_bf16_from_f32(f) ^ bq_bf16x2_from_f32(f, f2.x);
  f += bq_exp(f) + bq_erf(f) + bq_tanh(f) + bq_round_even(f) + bq_floor(f) + bq_sqrt(f) + bq_abs(f) + bq_fma(f, f, f);
  f += bq_minnum(f, f2.x) + bq_maxnum(f, f2.y) + bq_minimum(f, g2.x) + bq_maximum(f, g2.y);

  bq_store(to8 + t, v);
  bq_store(to16 + t, v);
  bq_store(to8 + 8 * (t % 16), bq_pack_i32x2(v, n));
  bq_store(to32 + 8 * t, v);
  bq_store(to32 + 8 * t + 2, bq_pack_i32x2(v, n));
  bq_store(to32 + 8 * t + 4, counts);
  bq_store(to64 + t, l);
  bq_store(toFloat + 8 * t, f);
  bq_store(toFloat + 8 * t + 2, bq_pack_f32x2(f, f));
  bq_store(toFloat + 8 * t + 4, sums);
  bq_fence();
  bq_atomic_add(to32 + 1, bq_element<2>(a4) + bq_element<1>(a2));
}
)";

/// The names from `bq_` on that `text` has and that a `(` or `<` follows.
std::set<std::string> calledNames(const std::string &text) {
  std::set<std::string> names;
  for (size_t begin = text.find("bq_"); begin != std::string::npos; begin = text.find("bq_", begin + 1)) {
    const size_t end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_", begin);
    if (end != std::string::npos && (text[end] == '(' || text[end] == '<'))
      names.insert(text.substr(begin, end - begin));
  }
  return names;
}

TEST(PreludeFaces, TheTestCallsEveryFunctionOfThePrelude) {
  std::set<std::string> names = calledNames(cudaPrelude());
  // Parts of the loads.
  EXPECT_EQ(names.erase("bq_read_streamed") + names.erase("bq_read_fresh"), 2u);
  EXPECT_THAT(calledNames(everything), ::testing::IsSupersetOf(names));
}

TEST(PreludeFaces, TheEmulatorHasEveryFunction) {
  TestKernel test(everything, 128, 20480 + 1024);
  test.kernel.entry = "everything";
  std::vector<int8_t> i8(128, 1), to8(128);
  std::vector<int16_t> i16(128, 1), to16(128);
  std::vector<int32_t> i32(512, 1), to32(1024);
  std::vector<int64_t> i64(130, 1), to64(128);
  std::vector<float> f32(512, 1.0f), toFloat(1024);
  const Status status = test.run({readable(i8), readable(i16), readable(i32), readable(i64), readable(f32),
                                  writable(to8), writable(to16), writable(to32), writable(to64), writable(toFloat)},
                                 i8.data(), i16.data(), i32.data(), i64.data(), f32.data(), to8.data(), to16.data(),
                                 to32.data(), to64.data(), toFloat.data(), 16);
  EXPECT_TRUE(status.ok()) << status.error().message;
}

TEST(PreludeFaces, EveryArchitectureHasEveryFunction) {
  Expected<const NvrtcLibrary *> library = NvrtcLibrary::get();
  if (!library)
    GTEST_SKIP() << library.error().message;
  for (const char *name : {"sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120a"}) {
    SCOPED_TRACE(name);
    Expected<CudaCode> code =
        compileCuda(**library, cudaPrelude() + everything + productKernel, "kernel.cu", *CudaTarget::parse(name));
    ASSERT_TRUE(code) << code.error().message;
    for (const char *instruction :
         {"ld.global.nc.L1::no_allocate.v4.b32", "ld.relaxed.gpu.global.v2.f32", "cp.async.cg.shared.global",
          "cp.async.wait_group 2", "st.shared.v4.f32", "ld.shared.u16", "membar.gl", "atom.global.add",
          "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32", "cvt.rn.bf16x2.f32",
          "movmatrix.sync.aligned.m8n8.trans.b16", "fma.rn.bf16x2"})
      EXPECT_NE(code->ptx.find(instruction), std::string::npos) << instruction;
    Expected<std::vector<KernelResources>> resources = parseResources(code->log);
    ASSERT_TRUE(resources) << resources.error().message;
    ASSERT_EQ(resources->size(), 2u);
    for (const KernelResources &kernel : *resources)
      EXPECT_EQ(kernel.spillBytes + kernel.stackBytes, 0) << kernel.entry;
  }
}

} // namespace
