// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a kernel compiled for the emulator asks of it. C++ without any header, since every kernel's text includes it.
#ifndef BQ_RUNTIME_EMU_EMUABI_H
#define BQ_RUNTIME_EMU_EMUABI_H

/// Where in the kernel's text an operation stands.
struct BQEmuSite {
  const char *file;
  int line;
};

enum BQEmuAccess { BQEmuLoad, BQEmuStreamedLoad, BQEmuStore, BQEmuAtomic };
enum BQEmuWarpOp { BQEmuShuffleXor, BQEmuLdmatrix, BQEmuTranspose, BQEmuMmaBF16, BQEmuMmaF16, BQEmuMmaU8S8 };

/// What one lane brings to an operation of its warp; each takes four words away.
union BQEmuOperands {
  struct {
    unsigned a[4], b[2], accumulator[4];
  } mma;
  struct {
    unsigned value;
    int mask;
  } shuffle;
  const void *row; ///< ldmatrix: 16 bytes of shared memory.
  unsigned matrix; ///< transpose: two elements of a row.
};

/// Functions of the emulator. A call that breaks a rule does not return: the launch ends. A kernel's library finds them
/// in its variable `const BQEmuApi *bqEmuApi`, which is set before its kernels are called.
struct BQEmuApi {
  int (*thread)();
  int (*block)(int dimension);
  /// Byte 0 of the block's shared memory, aligned to 128.
  char *(*shared)();
  /// Before an access to `bytes` bytes of global memory.
  void (*accessGlobal)(const void *address, int bytes, BQEmuAccess access, BQEmuSite site);
  /// Before an access to `bytes` bytes of shared memory.
  void (*accessShared)(const void *address, int bytes, BQEmuAccess access, BQEmuSite site);
  void (*copyAsync)(void *target, const void *source, int valid, BQEmuSite site);
  void (*commitCopies)();
  void (*waitCopies)(int pending);
  void (*barrier)(BQEmuSite site);
  void (*warp)(BQEmuWarpOp op, const BQEmuOperands *operands, unsigned (*result)[4], BQEmuSite site);
  float (*f32FromF16)(int bits);
  int (*f16FromF32)(float value);
  int (*bf16FromF32)(float value);
};

#endif // BQ_RUNTIME_EMU_EMUABI_H
