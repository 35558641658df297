// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernels that measure a device: how fast its tensor cores are with operands in registers, and how fast its memory is
// read. Needs no header, for compute capability 8.0 and above. Probes.h says what each is called with.

namespace {

struct OneBit {
  using Value = int;
  static __device__ __forceinline__ void multiply(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
                 "{%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

struct EightBit {
  using Value = int;
  static __device__ __forceinline__ void multiply(int (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

struct Bf16 {
  using Value = float;
  static __device__ __forceinline__ void multiply(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},"
                 "{%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

/// Eight sums in each warp, so that no instruction waits for the one before it.
template <typename Instruction>
__device__ __forceinline__ void measureRate(const unsigned *in, float *out, long long *cycles, int steps) {
  typename Instruction::Value c[8][4] = {};
  const unsigned *mine = in + threadIdx.x * 6;
  const unsigned a[4] = {mine[0], mine[1], mine[2], mine[3]}, b[2] = {mine[4], mine[5]};
  __syncthreads();
  const long long start = clock64();
#pragma unroll 1
  for (int step = 0; step < steps; ++step) {
#pragma unroll
    for (int i = 0; i < 8; ++i)
      Instruction::multiply(c[i], a, b);
  }
  __syncthreads();
  if (threadIdx.x == 0)
    cycles[blockIdx.x] = clock64() - start;
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i)
    sum += static_cast<float>(c[i][0]) + static_cast<float>(c[i][1]) + static_cast<float>(c[i][2]) +
           static_cast<float>(c[i][3]);
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

struct Words {
  unsigned x, y, z, w;
};

__device__ __forceinline__ Words loadStreamed(const Words *address) {
  Words v;
  asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(address));
  return v;
}

/// `loads` of 16 bytes are asked for by each thread before it uses the first.
template <int loads>
__device__ __forceinline__ void measureRead(const Words *in, unsigned *out, long long count) {
  const long long step = static_cast<long long>(gridDim.x) * blockDim.x * loads;
  unsigned sum = 0;
  for (long long first = static_cast<long long>(blockIdx.x) * blockDim.x * loads; first < count; first += step) {
    Words v[loads];
#pragma unroll
    for (int i = 0; i < loads; ++i)
      v[i] = loadStreamed(in + first + i * blockDim.x + threadIdx.x);
#pragma unroll
    for (int i = 0; i < loads; ++i)
      sum ^= v[i].x ^ v[i].y ^ v[i].z ^ v[i].w;
  }
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

} // namespace

extern "C" __global__ void __launch_bounds__(512) rateB1(const unsigned *in, float *out, long long *cycles, int steps) {
  measureRate<OneBit>(in, out, cycles, steps);
}
extern "C" __global__ void __launch_bounds__(512) rateS8(const unsigned *in, float *out, long long *cycles, int steps) {
  measureRate<EightBit>(in, out, cycles, steps);
}
extern "C" __global__ void __launch_bounds__(512)
    rateBf16(const unsigned *in, float *out, long long *cycles, int steps) {
  measureRate<Bf16>(in, out, cycles, steps);
}

extern "C" __global__ void __launch_bounds__(256) read4(const Words *in, unsigned *out, long long count) {
  measureRead<4>(in, out, count);
}
extern "C" __global__ void __launch_bounds__(256) read8(const Words *in, unsigned *out, long long count) {
  measureRead<8>(in, out, count);
}
extern "C" __global__ void __launch_bounds__(256) read16(const Words *in, unsigned *out, long long count) {
  measureRead<16>(in, out, count);
}
