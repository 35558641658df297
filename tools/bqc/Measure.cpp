// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Measure.h"

#include "dialect/core/CpuTarget.h"

#include <sys/mman.h>

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <limits>
#include <new>
#include <numeric>

using namespace bq;
using namespace bq::cli;

void cli::consume(const uint64_t *results, int count) {
  static std::atomic<uint64_t> sink{0};
  for (int i = 0; i < count; ++i)
    sink += results[i];
}

double cli::now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double Samples::minimum() const { return *std::min_element(values.begin(), values.end()); }

double Samples::median() const {
  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

namespace {

constexpr size_t hugePage = size_t{2} << 20;

// This file is compiled for any x86-64; each function below is for the instruction set it names and is called only
// where the host has it.

// Eight chains hide the latency of the additions.
constexpr int readChains = 8;

__attribute__((target("avx512f"))) void sumAVX512(const char *data, size_t size) {
  __m512i chain[readChains];
  for (__m512i &value : chain)
    value = _mm512_setzero_si512();
  for (size_t offset = 0; offset < size; offset += 512) {
#pragma GCC unroll 8
    for (int i = 0; i < readChains; ++i)
      chain[i] = _mm512_add_epi64(chain[i], _mm512_load_si512(data + offset + 64 * i));
  }
  alignas(64) uint64_t lanes[8];
  for (const __m512i &value : chain) {
    _mm512_store_si512(lanes, value);
    consume(lanes, 8);
  }
}

__attribute__((target("avx2"))) void sumAVX2(const char *data, size_t size) {
  __m256i chain[readChains];
  for (__m256i &value : chain)
    value = _mm256_setzero_si256();
  for (size_t offset = 0; offset < size; offset += 256) {
#pragma GCC unroll 8
    for (int i = 0; i < readChains; ++i)
      chain[i] =
          _mm256_add_epi64(chain[i], _mm256_load_si256(reinterpret_cast<const __m256i *>(data + offset + 32 * i)));
  }
  alignas(32) uint64_t lanes[4];
  for (const __m256i &value : chain) {
    _mm256_store_si256(reinterpret_cast<__m256i *>(lanes), value);
    consume(lanes, 4);
  }
}

void sumSSE2(const char *data, size_t size) {
  __m128i chain[readChains];
  for (__m128i &value : chain)
    value = _mm_setzero_si128();
  for (size_t offset = 0; offset < size; offset += 128) {
#pragma GCC unroll 8
    for (int i = 0; i < readChains; ++i)
      chain[i] = _mm_add_epi64(chain[i], _mm_load_si128(reinterpret_cast<const __m128i *>(data + offset + 16 * i)));
  }
  alignas(16) uint64_t lanes[2];
  for (const __m128i &value : chain) {
    _mm_store_si128(reinterpret_cast<__m128i *>(lanes), value);
    consume(lanes, 2);
  }
}

} // namespace

ReadMeasurement::ReadMeasurement(size_t size)
    : seconds((size + partSize - 1) / partSize, std::numeric_limits<double>::infinity()) {
  const size_t bytes = seconds.size() * partSize;
  mappingSize = bytes + hugePage;
  mapping = mmap(nullptr, mappingSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    throw std::bad_alloc();
  const uintptr_t aligned = (reinterpret_cast<uintptr_t>(mapping) + hugePage - 1) / hugePage * hugePage;
  char *start = reinterpret_cast<char *>(aligned);
  madvise(start, bytes, MADV_HUGEPAGE); // A kernel without huge pages gives small ones; the measurement shows it.
  std::memset(start, 1, bytes);
  data = start;
}

ReadMeasurement::~ReadMeasurement() { munmap(mapping, mappingSize); }

void ReadMeasurement::run(ParallelFor parallel, int threads) {
  const CpuTarget &host = CpuTarget::host();
  const auto sum = host.has(CpuTarget::AVX512) ? sumAVX512 : host.has(CpuTarget::AVX2) ? sumAVX2 : sumSSE2;
  constexpr size_t step = 512; // What the sums read at a time.
  constexpr int64_t steps = partSize / step;
  for (size_t part = 0; part < seconds.size(); ++part) {
    const char *start = data + part * partSize;
    const double begun = now();
    parallel(0, threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        sum(start + steps * i / threads * step, (steps * (i + 1) / threads - steps * i / threads) * step);
    });
    seconds[part] = std::min(seconds[part], now() - begun);
  }
}

double ReadMeasurement::best() const {
  return static_cast<double>(seconds.size() * partSize) / std::accumulate(seconds.begin(), seconds.end(), 0.0);
}
