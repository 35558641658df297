// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The prelude of every CUDA kernel: what the calls in generated code mean on a device. Needs no header, for compute
// capability 8.0 and above. runtime/emu/EmuPrelude.h gives the same names their meaning on a CPU.

typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;

#define BQ_DEVICE __device__ __forceinline__

// Fragments.

struct __align__(8) bq_i32x2 {
  int32_t x, y;
};
struct __align__(16) bq_i32x4 {
  int32_t x, y, z, w;
};
struct __align__(8) bq_f32x2 {
  float x, y;
};
struct __align__(16) bq_f32x4 {
  float x, y, z, w;
};

BQ_DEVICE bq_i32x2 bq_pack_i32x2(int32_t x, int32_t y) { return {x, y}; }
BQ_DEVICE bq_i32x4 bq_pack_i32x4(int32_t x, int32_t y, int32_t z, int32_t w) { return {x, y, z, w}; }
BQ_DEVICE bq_f32x2 bq_pack_f32x2(float x, float y) { return {x, y}; }
BQ_DEVICE bq_f32x4 bq_pack_f32x4(float x, float y, float z, float w) { return {x, y, z, w}; }

template <int I, typename V>
BQ_DEVICE auto bq_element(const V &v) -> decltype(v.x) {
  if constexpr (I == 0)
    return v.x;
  else if constexpr (I == 1)
    return v.y;
  else if constexpr (I == 2)
    return v.z;
  else
    return v.w;
}

// Threads.

BQ_DEVICE int32_t bq_thread() { return threadIdx.x; }
BQ_DEVICE int32_t bq_block_x() { return blockIdx.x; }
BQ_DEVICE int32_t bq_block_y() { return blockIdx.y; }
BQ_DEVICE int32_t bq_block_z() { return blockIdx.z; }
BQ_DEVICE void bq_barrier() { __syncthreads(); }
BQ_DEVICE void bq_fence() { __threadfence(); }
template <typename V>
BQ_DEVICE V bq_shuffle_xor(V v, int32_t mask) {
  return __shfl_xor_sync(0xffffffffu, v, mask);
}

// Memory. 8- and 16-bit elements become an int32_t without sign.

extern __shared__ __align__(128) unsigned char bq_shared_memory[];
template <typename T>
BQ_DEVICE T *bq_shared(int32_t byteOffset) {
  return reinterpret_cast<T *>(bq_shared_memory + byteOffset);
}

BQ_DEVICE int64_t bq_address(const void *p) { return reinterpret_cast<int64_t>(p); }

template <typename V, typename T>
BQ_DEVICE V bq_load(const T *p) {
  if constexpr (sizeof(T) == 1 && sizeof(V) == 4)
    return *reinterpret_cast<const uint8_t *>(p);
  else if constexpr (sizeof(T) == 2 && sizeof(V) == 4)
    return *reinterpret_cast<const uint16_t *>(p);
  else
    return *reinterpret_cast<const V *>(p);
}
template <typename V, typename T>
BQ_DEVICE V bq_load_shared(const T *p) {
  return bq_load<V>(p);
}

// Reads of each type of value by one instruction; volatile, so that loads stay where the generator has put them, ahead
// of their use.
#define BQ_READ(V, T, TYPE, FORM, OUTPUTS)                                                                             \
  BQ_DEVICE void bq_read_streamed(V &v, const T *p) {                                                                  \
    asm volatile("ld.global.nc.L1::no_allocate" TYPE FORM : OUTPUTS : "l"(__cvta_generic_to_global(p)));               \
  }                                                                                                                    \
  BQ_DEVICE void bq_read_fresh(V &v, const T *p) {                                                                     \
    asm volatile("ld.relaxed.gpu.global" TYPE FORM : OUTPUTS : "l"(__cvta_generic_to_global(p)) : "memory");           \
  }
#define BQ_PAIR(C) C(v.x), C(v.y)
#define BQ_QUAD(C) C(v.x), C(v.y), C(v.z), C(v.w)
BQ_READ(int32_t, int8_t, ".u8", " %0, [%1];", "=r"(v))
BQ_READ(int32_t, int16_t, ".u16", " %0, [%1];", "=r"(v))
BQ_READ(int32_t, int32_t, ".b32", " %0, [%1];", "=r"(v))
BQ_READ(int64_t, int64_t, ".b64", " %0, [%1];", "=l"(v))
BQ_READ(float, float, ".f32", " %0, [%1];", "=f"(v))
BQ_READ(bq_i32x2, int32_t, ".v2.b32", " {%0, %1}, [%2];", BQ_PAIR("=r"))
BQ_READ(bq_f32x2, float, ".v2.f32", " {%0, %1}, [%2];", BQ_PAIR("=f"))
BQ_READ(bq_i32x4, int32_t, ".v4.b32", " {%0, %1, %2, %3}, [%4];", BQ_QUAD("=r"))
BQ_READ(bq_f32x4, float, ".v4.f32", " {%0, %1, %2, %3}, [%4];", BQ_QUAD("=f"))
#undef BQ_READ
#undef BQ_PAIR
#undef BQ_QUAD
template <typename V, typename T>
BQ_DEVICE V bq_load_streamed(const T *p) {
  V v;
  bq_read_streamed(v, p);
  return v;
}
/// Of memory that other blocks of threads write meanwhile.
template <typename V, typename T>
BQ_DEVICE V bq_load_fresh(const T *p) {
  V v;
  bq_read_fresh(v, p);
  return v;
}

template <typename T, typename V>
BQ_DEVICE void bq_store(T *p, V v) {
  if constexpr (sizeof(T) < 4 && sizeof(V) == 4)
    *p = static_cast<T>(v);
  else
    *reinterpret_cast<V *>(p) = v;
}
template <typename T, typename V>
BQ_DEVICE void bq_store_shared(T *p, V v) {
  bq_store(p, v);
}

BQ_DEVICE int32_t bq_atomic_add(int32_t *p, int32_t v) { return atomicAdd(p, v); }

/// 16 bytes, of which those from `valid` on are zeros.
template <typename T, typename S>
BQ_DEVICE void bq_copy_async(T *target, const S *source, int32_t valid) {
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<uint32_t>(__cvta_generic_to_shared(target))),
      "l"(__cvta_generic_to_global(source)), "r"(valid)
      : "memory");
}
BQ_DEVICE void bq_commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int Pending>
BQ_DEVICE void bq_wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Tensor instructions. Volatile, since every lane of the warp must come to them.

/// Four 8x8 matrices of 16 bits; lane l gives row l % 8 of matrix l / 8.
BQ_DEVICE bq_i32x4 bq_ldmatrix(const void *row) {
  bq_i32x4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
  return v;
}

/// One 8x8 matrix of 16 bits: lane l gives two elements of row l / 4, and gets two of column l / 4.
BQ_DEVICE int32_t bq_transpose(int32_t matrix) {
  int32_t v;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(v) : "r"(matrix));
  return v;
}

BQ_DEVICE bq_f32x4 bq_mma_bf16(bq_i32x4 a, bq_i32x2 b, bq_f32x4 c) {
  bq_f32x4 d;
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y), "f"(c.x), "f"(c.y), "f"(c.z), "f"(c.w));
  return d;
}
BQ_DEVICE bq_f32x4 bq_mma_f16(bq_i32x4 a, bq_i32x2 b, bq_f32x4 c) {
  bq_f32x4 d;
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=f"(d.x), "=f"(d.y), "=f"(d.z), "=f"(d.w)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y), "f"(c.x), "f"(c.y), "f"(c.z), "f"(c.w));
  return d;
}
BQ_DEVICE bq_i32x4 bq_mma_u8s8(bq_i32x4 a, bq_i32x2 b, bq_i32x4 c) {
  bq_i32x4 d;
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 "
               "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
               : "=r"(d.x), "=r"(d.y), "=r"(d.z), "=r"(d.w)
               : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b.x), "r"(b.y), "r"(c.x), "r"(c.y), "r"(c.z), "r"(c.w));
  return d;
}

// Bits.

BQ_DEVICE int32_t bq_bits(float v) { return __float_as_int(v); }
BQ_DEVICE float bq_float(int32_t v) { return __int_as_float(v); }
template <int table>
BQ_DEVICE int32_t bq_logic3(int32_t a, int32_t b, int32_t c) {
  int32_t result;
  asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(a), "r"(b), "r"(c), "n"(table));
  return result;
}
BQ_DEVICE int32_t bq_permute_bytes(int32_t low, int32_t high, int32_t selector) {
  return __byte_perm(low, high, selector);
}
BQ_DEVICE int32_t bq_shift_left(int32_t v, int32_t by) { return static_cast<int32_t>(static_cast<uint32_t>(v) << by); }
BQ_DEVICE int64_t bq_shift_left(int64_t v, int64_t by) { return static_cast<int64_t>(static_cast<uint64_t>(v) << by); }
BQ_DEVICE int32_t bq_shift_right_logical(int32_t v, int32_t by) {
  return static_cast<int32_t>(static_cast<uint32_t>(v) >> by);
}
BQ_DEVICE int64_t bq_shift_right_logical(int64_t v, int64_t by) {
  return static_cast<int64_t>(static_cast<uint64_t>(v) >> by);
}
BQ_DEVICE int32_t bq_shift_right_arithmetic(int32_t v, int32_t by) { return v >> by; }
BQ_DEVICE int64_t bq_shift_right_arithmetic(int64_t v, int64_t by) { return v >> by; }

// 16-bit floats: rounded to nearest, ties to even.

BQ_DEVICE float bq_f32_from_f16(int32_t bits) {
  float v;
  asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(static_cast<uint16_t>(bits)));
  return v;
}
BQ_DEVICE float bq_f32_from_bf16(int32_t bits) { return bq_float(bq_shift_left(bits, 16)); }
BQ_DEVICE int32_t bq_f16_from_f32(float v) {
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
  return bits;
}
BQ_DEVICE int32_t bq_bf16_from_f32(float v) {
  uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(v));
  return bits;
}
BQ_DEVICE int32_t bq_bf16x2_from_f32(float low, float high) {
  int32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
}

/// By a multiplication with one, since sums alone are newer.
BQ_DEVICE int32_t bq_add_bf16x2(int32_t a, int32_t b) {
  int32_t sums;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(sums) : "r"(a), "r"(0x3f803f80), "r"(b));
  return sums;
}

// Arithmetic. minnum and maxnum give the operand that is a number; minimum and maximum give NaN where one is.

BQ_DEVICE float bq_exp(float v) { return expf(v); }
BQ_DEVICE float bq_erf(float v) { return erff(v); }
BQ_DEVICE float bq_tanh(float v) { return tanhf(v); }
BQ_DEVICE float bq_round_even(float v) { return rintf(v); }
BQ_DEVICE float bq_floor(float v) { return floorf(v); }
BQ_DEVICE float bq_sqrt(float v) { return __fsqrt_rn(v); }
BQ_DEVICE float bq_abs(float v) { return fabsf(v); }
BQ_DEVICE float bq_fma(float a, float b, float c) { return fmaf(a, b, c); }
BQ_DEVICE float bq_minnum(float a, float b) { return fminf(a, b); }
BQ_DEVICE float bq_maxnum(float a, float b) { return fmaxf(a, b); }
BQ_DEVICE float bq_minimum(float a, float b) {
  float v;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(v) : "f"(a), "f"(b));
  return v;
}
BQ_DEVICE float bq_maximum(float a, float b) {
  float v;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(v) : "f"(a), "f"(b));
  return v;
}
BQ_DEVICE int32_t bq_min_signed(int32_t a, int32_t b) { return a < b ? a : b; }
BQ_DEVICE int64_t bq_min_signed(int64_t a, int64_t b) { return a < b ? a : b; }
BQ_DEVICE int32_t bq_max_signed(int32_t a, int32_t b) { return a > b ? a : b; }
BQ_DEVICE int64_t bq_max_signed(int64_t a, int64_t b) { return a > b ? a : b; }
BQ_DEVICE int32_t bq_min_unsigned(int32_t a, int32_t b) {
  return static_cast<uint32_t>(a) < static_cast<uint32_t>(b) ? a : b;
}
BQ_DEVICE int64_t bq_min_unsigned(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) < static_cast<uint64_t>(b) ? a : b;
}
BQ_DEVICE int32_t bq_max_unsigned(int32_t a, int32_t b) {
  return static_cast<uint32_t>(a) > static_cast<uint32_t>(b) ? a : b;
}
BQ_DEVICE int64_t bq_max_unsigned(int64_t a, int64_t b) {
  return static_cast<uint64_t>(a) > static_cast<uint64_t>(b) ? a : b;
}

#undef BQ_DEVICE
