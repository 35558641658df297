// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The prelude of every kernel that runs on the emulator: the names of codegen/cuda/Prelude.cuh, in C++ without any
/// header.
#ifndef BQ_RUNTIME_EMU_EMUPRELUDE_H
#define BQ_RUNTIME_EMU_EMUPRELUDE_H

#include "runtime/emu/EmuAbi.h"

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;

#define __global__ __attribute__((visibility("default")))
#define __launch_bounds__(...)

extern "C" {
/// Set by whoever loads the library.
extern __global__ const BQEmuApi *bqEmuApi;
__global__ const BQEmuApi *bqEmuApi;
}

/// The place of the call whose default argument this is.
constexpr BQEmuSite bqEmuHere(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }

// Fragments.

struct alignas(8) bq_i32x2 {
  int32_t x, y;
};
struct alignas(16) bq_i32x4 {
  int32_t x, y, z, w;
};
struct alignas(8) bq_f32x2 {
  float x, y;
};
struct alignas(16) bq_f32x4 {
  float x, y, z, w;
};

inline bq_i32x2 bq_pack_i32x2(int32_t x, int32_t y) { return {x, y}; }
inline bq_i32x4 bq_pack_i32x4(int32_t x, int32_t y, int32_t z, int32_t w) { return {x, y, z, w}; }
inline bq_f32x2 bq_pack_f32x2(float x, float y) { return {x, y}; }
inline bq_f32x4 bq_pack_f32x4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <int I, typename V>
inline auto bq_element(const V &v) -> decltype(v.x) {
  if constexpr (I == 0)
    return v.x;
  else if constexpr (I == 1)
    return v.y;
  else if constexpr (I == 2)
    return v.z;
  else
    return v.w;
}

// Bits.

inline int32_t bq_bits(float v) {
  int32_t bits;
  __builtin_memcpy(&bits, &v, 4);
  return bits;
}
inline float bq_float(int32_t v) {
  float value;
  __builtin_memcpy(&value, &v, 4);
  return value;
}
template <int table>
inline int32_t bq_logic3(int32_t a, int32_t b, int32_t c) {
  constexpr auto has = [](int bits) { return table >> bits & 1 ? -1 : 0; };
  const int32_t none = (~c & has(0)) | (c & has(1)), onlyB = (~c & has(2)) | (c & has(3)),
                onlyA = (~c & has(4)) | (c & has(5)), both = (~c & has(6)) | (c & has(7));
  return (~a & ((~b & none) | (b & onlyB))) | (a & ((~b & onlyA) | (b & both)));
}
inline int32_t bq_permute_bytes(int32_t low, int32_t high, int32_t selector) {
  const uint64_t bytes = static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low);
  uint32_t result = 0;
  for (int i = 0; i < 4; ++i)
    result |= static_cast<uint32_t>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  return static_cast<int32_t>(result);
}
inline int32_t bq_shift_left(int32_t v, int32_t by) { return static_cast<int32_t>(static_cast<uint32_t>(v) << by); }
inline int64_t bq_shift_left(int64_t v, int64_t by) { return static_cast<int64_t>(static_cast<uint64_t>(v) << by); }
inline int32_t bq_shift_right_logical(int32_t v, int32_t by) {
  return static_cast<int32_t>(static_cast<uint32_t>(v) >> by);
}
inline int64_t bq_shift_right_logical(int64_t v, int64_t by) {
  return static_cast<int64_t>(static_cast<uint64_t>(v) >> by);
}
inline int32_t bq_shift_right_arithmetic(int32_t v, int32_t by) { return v >> by; }
inline int64_t bq_shift_right_arithmetic(int64_t v, int64_t by) { return v >> by; }

// Threads.

inline int32_t bq_thread() { return bqEmuApi->thread(); }
inline int32_t bq_block_x() { return bqEmuApi->block(0); }
inline int32_t bq_block_y() { return bqEmuApi->block(1); }
inline int32_t bq_block_z() { return bqEmuApi->block(2); }
inline void bq_barrier(BQEmuSite site = bqEmuHere()) { bqEmuApi->barrier(site); }
inline void bq_fence() {} // threads run one after another on one core
inline int32_t bq_shuffle_xor(int32_t v, int32_t mask, BQEmuSite site = bqEmuHere()) {
  BQEmuOperands operands;
  operands.shuffle = {static_cast<unsigned>(v), mask};
  unsigned result[4];
  bqEmuApi->warp(BQEmuShuffleXor, &operands, &result, site);
  return static_cast<int32_t>(result[0]);
}
inline float bq_shuffle_xor(float v, int32_t mask, BQEmuSite site = bqEmuHere()) {
  return bq_float(bq_shuffle_xor(bq_bits(v), mask, site));
}

// Memory. 8- and 16-bit elements become an int32_t without sign.

template <typename T>
inline T *bq_shared(int32_t byteOffset) {
  return reinterpret_cast<T *>(bqEmuApi->shared() + byteOffset);
}

inline int64_t bq_address(const void *p) { return reinterpret_cast<int64_t>(p); }

/// Bytes of memory that a V takes where elements are T.
template <typename V, typename T>
constexpr int bqEmuBytes = sizeof(T) < 4 && sizeof(V) == 4 ? sizeof(T) : sizeof(V);

template <typename V, typename T>
inline V bqEmuRead(const T *p) {
  if constexpr (sizeof(T) == 1 && sizeof(V) == 4) {
    return *reinterpret_cast<const uint8_t *>(p);
  } else if constexpr (sizeof(T) == 2 && sizeof(V) == 4) {
    return *reinterpret_cast<const uint16_t *>(p);
  } else {
    V v;
    __builtin_memcpy(&v, p, sizeof(V));
    return v;
  }
}
template <typename T, typename V>
inline void bqEmuWrite(T *p, const V &v) {
  if constexpr (sizeof(T) < 4 && sizeof(V) == 4)
    *p = static_cast<T>(v);
  else
    __builtin_memcpy(p, &v, sizeof(V));
}

template <typename V, typename T>
inline V bq_load(const T *p, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessGlobal(p, bqEmuBytes<V, T>, BQEmuLoad, site);
  return bqEmuRead<V>(p);
}
template <typename V, typename T>
inline V bq_load_streamed(const T *p, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessGlobal(p, bqEmuBytes<V, T>, BQEmuStreamedLoad, site);
  return bqEmuRead<V>(p);
}
template <typename V, typename T>
inline V bq_load_fresh(const T *p, BQEmuSite site = bqEmuHere()) {
  return bq_load<V>(p, site);
}
template <typename V, typename T>
inline V bq_load_shared(const T *p, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessShared(p, bqEmuBytes<V, T>, BQEmuLoad, site);
  return bqEmuRead<V>(p);
}
template <typename T, typename V>
inline void bq_store(T *p, V v, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessGlobal(p, bqEmuBytes<V, T>, BQEmuStore, site);
  bqEmuWrite(p, v);
}
template <typename T, typename V>
inline void bq_store_shared(T *p, V v, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessShared(p, bqEmuBytes<V, T>, BQEmuStore, site);
  bqEmuWrite(p, v);
}
inline int32_t bq_atomic_add(int32_t *p, int32_t v, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->accessGlobal(p, 4, BQEmuAtomic, site);
  const int32_t old = *p;
  *p = static_cast<int32_t>(static_cast<uint32_t>(old) + static_cast<uint32_t>(v));
  return old;
}
template <typename T, typename S>
inline void bq_copy_async(T *target, const S *source, int32_t valid, BQEmuSite site = bqEmuHere()) {
  bqEmuApi->copyAsync(target, source, valid, site);
}
inline void bq_commit_copies() { bqEmuApi->commitCopies(); }
template <int Pending>
inline void bq_wait_copies() {
  bqEmuApi->waitCopies(Pending);
}

// Tensor instructions.

inline bq_i32x4 bq_ldmatrix(const void *row, BQEmuSite site = bqEmuHere()) {
  BQEmuOperands operands;
  operands.row = row;
  unsigned result[4];
  bqEmuApi->warp(BQEmuLdmatrix, &operands, &result, site);
  bq_i32x4 v;
  __builtin_memcpy(&v, result, 16);
  return v;
}
inline int32_t bq_transpose(int32_t matrix, BQEmuSite site = bqEmuHere()) {
  BQEmuOperands operands;
  operands.matrix = static_cast<unsigned>(matrix);
  unsigned result[4];
  bqEmuApi->warp(BQEmuTranspose, &operands, &result, site);
  return static_cast<int32_t>(result[0]);
}
template <typename C>
inline C bqEmuMma(BQEmuWarpOp op, const bq_i32x4 &a, const bq_i32x2 &b, const C &c, BQEmuSite site) {
  BQEmuOperands operands;
  __builtin_memcpy(operands.mma.a, &a, 16);
  __builtin_memcpy(operands.mma.b, &b, 8);
  __builtin_memcpy(operands.mma.accumulator, &c, 16);
  unsigned result[4];
  bqEmuApi->warp(op, &operands, &result, site);
  C v;
  __builtin_memcpy(&v, result, 16);
  return v;
}
inline bq_f32x4 bq_mma_bf16(bq_i32x4 a, bq_i32x2 b, bq_f32x4 c, BQEmuSite site = bqEmuHere()) {
  return bqEmuMma(BQEmuMmaBF16, a, b, c, site);
}
inline bq_f32x4 bq_mma_f16(bq_i32x4 a, bq_i32x2 b, bq_f32x4 c, BQEmuSite site = bqEmuHere()) {
  return bqEmuMma(BQEmuMmaF16, a, b, c, site);
}
inline bq_i32x4 bq_mma_u8s8(bq_i32x4 a, bq_i32x2 b, bq_i32x4 c, BQEmuSite site = bqEmuHere()) {
  return bqEmuMma(BQEmuMmaU8S8, a, b, c, site);
}

// 16-bit floats: rounded to nearest, ties to even.

inline float bq_f32_from_f16(int32_t bits) { return bqEmuApi->f32FromF16(bits); }
inline float bq_f32_from_bf16(int32_t bits) { return bq_float(bq_shift_left(bits, 16)); }
inline int32_t bq_f16_from_f32(float v) { return bqEmuApi->f16FromF32(v); }
inline int32_t bq_bf16_from_f32(float v) { return bqEmuApi->bf16FromF32(v); }
inline int32_t bq_bf16x2_from_f32(float low, float high) {
  return bq_shift_left(bq_bf16_from_f32(high), 16) | bq_bf16_from_f32(low);
}
inline int32_t bq_add_bf16x2(int32_t a, int32_t b) {
  // f32 has more than twice the digits of bf16: rounding to it first changes nothing.
  return bq_bf16x2_from_f32(bq_f32_from_bf16(a) + bq_f32_from_bf16(b), bq_float(a & ~0xffff) + bq_float(b & ~0xffff));
}

// Arithmetic. minnum and maxnum give the operand that is a number; minimum and maximum give NaN where one is.

inline float bq_exp(float v) { return __builtin_expf(v); }
inline float bq_erf(float v) { return __builtin_erff(v); }
inline float bq_tanh(float v) { return __builtin_tanhf(v); }
inline float bq_round_even(float v) { return __builtin_rintf(v); }
inline float bq_floor(float v) { return __builtin_floorf(v); }
inline float bq_sqrt(float v) { return __builtin_sqrtf(v); }
inline float bq_abs(float v) { return __builtin_fabsf(v); }
inline float bq_fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline bool bqEmuLess(float a, float b) { return a < b || (a == b && bq_bits(a) < bq_bits(b)); } // -0 before 0
inline float bq_minnum(float a, float b) { return b != b || bqEmuLess(a, b) ? a : b; }
inline float bq_maxnum(float a, float b) { return b != b || bqEmuLess(b, a) ? a : b; }
inline float bq_minimum(float a, float b) { return a != a || bqEmuLess(a, b) ? a : b; }
inline float bq_maximum(float a, float b) { return a != a || bqEmuLess(b, a) ? a : b; }
inline int32_t bq_min_signed(int32_t a, int32_t b) { return a < b ? a : b; }
inline int64_t bq_min_signed(int64_t a, int64_t b) { return a < b ? a : b; }
inline int32_t bq_max_signed(int32_t a, int32_t b) { return a > b ? a : b; }
inline int64_t bq_max_signed(int64_t a, int64_t b) { return a > b ? a : b; }
inline int32_t bq_min_unsigned(int32_t a, int32_t b) {
  return static_cast<uint32_t>(a) < static_cast<uint32_t>(b) ? a : b;
}
inline int64_t bq_min_unsigned(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) < static_cast<uint64_t>(b) ? a : b;
}
inline int32_t bq_max_unsigned(int32_t a, int32_t b) {
  return static_cast<uint32_t>(a) > static_cast<uint32_t>(b) ? a : b;
}
inline int64_t bq_max_unsigned(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) > static_cast<uint64_t>(b) ? a : b;
}

#endif // BQ_RUNTIME_EMU_EMUPRELUDE_H
