// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Arithmetic.h"

#include "tools/bqc/Measure.h"

#include <immintrin.h>

using namespace bq;
using namespace bq::cli;

namespace {

// This file is compiled for any x86-64; each function below is for the instruction set it names and is called only
// where the host has it.

// Twelve chains: more than latency times instructions a cycle on any CPU there is, and few enough for 16 registers.
constexpr int chains = 12;
/// Factors of one that the compiler cannot know.
volatile char one8 = 1;
volatile short one16 = 1;

__attribute__((target("avx512f"))) void fmaAVX512(int64_t count) {
  __m512 sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a = _mm512_set1_ps(0.99f), b = _mm512_set1_ps(0.01f);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm512_fmadd_ps(sum[i], a, b);
  }
  alignas(64) uint64_t lanes[8];
  for (const __m512 &value : sum) {
    _mm512_store_si512(lanes, _mm512_castps_si512(value));
    consume(lanes, 8);
  }
}

__attribute__((target("avx2,fma"))) void fmaAVX2(int64_t count) {
  __m256 sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_set1_ps(0.99f), b = _mm256_set1_ps(0.01f);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm256_fmadd_ps(sum[i], a, b);
  }
  alignas(32) uint64_t lanes[4];
  for (const __m256 &value : sum) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes), _mm256_castps_si256(value));
    consume(lanes, 4);
  }
}

void mulAddSSE2(int64_t count) {
  __m128 sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm_set1_ps(static_cast<float>(i));
  const __m128 a = _mm_set1_ps(0.99f), b = _mm_set1_ps(0.01f);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm_add_ps(_mm_mul_ps(sum[i], a), b);
  }
  alignas(16) uint64_t lanes[2];
  for (const __m128 &value : sum) {
    _mm_store_si128(reinterpret_cast<__m128i *>(lanes), _mm_castps_si128(value));
    consume(lanes, 2);
  }
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void bf16AVX512(int64_t count) {
  __m512 sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512bh one = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3f803f80)); // 1.0, twice in each lane
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm512_dpbf16_ps(sum[i], one, one);
  }
  alignas(64) uint64_t lanes[8];
  for (const __m512 &value : sum) {
    _mm512_store_si512(lanes, _mm512_castps_si512(value));
    consume(lanes, 8);
  }
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void int8AVX512(int64_t count) {
  __m512i sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm512_set1_epi32(i);
  const __m512i one = _mm512_set1_epi8(one8);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm512_dpbusd_epi32(sum[i], one, one);
  }
  alignas(64) uint64_t lanes[8];
  for (const __m512i &value : sum) {
    _mm512_store_si512(lanes, value);
    consume(lanes, 8);
  }
}

__attribute__((target("avx2,avxvnni"))) void int8AVXVNNI(int64_t count) {
  __m256i sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm256_set1_epi32(i);
  const __m256i one = _mm256_set1_epi8(one8);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      sum[i] = _mm256_dpbusd_avx_epi32(sum[i], one, one);
  }
  alignas(32) uint64_t lanes[4];
  for (const __m256i &value : sum) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes), value);
    consume(lanes, 4);
  }
}

// Without a dot product instruction its work is three: products in pairs, pairs to 32 bits, the sum.

__attribute__((target("avx2"))) void int8AVX2(int64_t count) {
  __m256i sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm256_set1_epi32(i);
  const __m256i one = _mm256_set1_epi8(one8), pair = _mm256_set1_epi16(one16);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) {
      // Bytes that the compiler knows nothing of: it would do the products once. Those of the sum itself would make one
      // long chain of all three instructions.
      __m256i bytes = one;
      __asm__ volatile("" : "+x"(bytes));
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, one), pair));
    }
  }
  alignas(32) uint64_t lanes[4];
  for (const __m256i &value : sum) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes), value);
    consume(lanes, 4);
  }
}

void int16SSE2(int64_t count) {
  __m128i sum[chains];
  for (int i = 0; i < chains; ++i)
    sum[i] = _mm_set1_epi32(i);
  const __m128i one = _mm_set1_epi16(one16);
  for (int64_t n = 0; n < count; ++n) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) {
      __m128i words = one;
      __asm__ volatile("" : "+x"(words));
      sum[i] = _mm_add_epi32(sum[i], _mm_madd_epi16(words, one));
    }
  }
  alignas(16) uint64_t lanes[2];
  for (const __m128i &value : sum) {
    _mm_store_si128(reinterpret_cast<__m128i *>(lanes), value);
    consume(lanes, 2);
  }
}

} // namespace

ArithmeticClass cli::arithmeticClass(Compute compute, const CpuTarget &target) {
  const bool wide = target.has(CpuTarget::AVX512);
  switch (compute) {
  case Compute::I8:
  case Compute::I16:
    if (wide && target.has(CpuTarget::AVX512VNNI))
      return {"vpdpbusd zmm", chains * 128.0, int8AVX512};
    if (target.has(CpuTarget::AVXVNNI))
      return {"vpdpbusd ymm", chains * 64.0, int8AVXVNNI};
    if (target.has(CpuTarget::AVX2))
      return {"vpmaddubsw, vpmaddwd, vpaddd ymm", chains * 64.0, int8AVX2};
    return {"pmaddwd, paddd xmm", chains * 16.0, int16SSE2};
  case Compute::BF16:
    if (wide && target.has(CpuTarget::AVX512BF16))
      return {"vdpbf16ps zmm", chains * 64.0, bf16AVX512};
    [[fallthrough]];
  case Compute::F32:
    break;
  }
  if (wide)
    return {"vfmadd zmm", chains * 32.0, fmaAVX512};
  if (target.has(CpuTarget::AVX2) && target.has(CpuTarget::FMA))
    return {"vfmadd ymm", chains * 16.0, fmaAVX2};
  return {"mulps, addps xmm", chains * 8.0, mulAddSSE2};
}

double cli::measurePeak(const ArithmeticClass &arithmetic, ParallelFor parallel, int threads) {
  constexpr int64_t steps = 1000000; // 12 instructions each, about 2 ms at two a cycle
  const double start = now();
  parallel(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      arithmetic.step(steps);
  });
  return arithmetic.operationsPerStep * steps * threads / (now() - start);
}
