// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What small kernels say of a device: rates of tensor instructions, and of reads from memory.
#ifndef BQ_TEST_GPU_PROBES_H
#define BQ_TEST_GPU_PROBES_H

#include "test/gpu/DeviceMemory.h"

#include <string>
#include <vector>

namespace bq::test {

/// How many tensor instructions a multiprocessor ends, with operands in registers and 16 warps at work.
struct InstructionRate {
  std::string name;               ///< Shape and types, such as "m16n8k256 b1".
  double microseconds = 0;        ///< The least of a few launches.
  double perClock = 0;            ///< Instructions of a warp, by a multiprocessor in one of its clocks.
  double operationsPerSecond = 0; ///< Of the device; a multiplication and an addition are two.
};

/// How fast memory that no cache holds is read.
struct ReadRate {
  int loads = 0;           ///< Of 16 bytes, asked for by each thread before it uses the first.
  int blocks = 0;          ///< Of 256 threads, for each multiprocessor.
  double microseconds = 0; ///< The least of a few launches.
  double bytesPerSecond = 0;
};

struct Measurements {
  std::vector<InstructionRate> instructions;
  std::vector<ReadRate> reads;
  double peakBytesPerSecond = 0; ///< Of the memory's clock and width; 0 where the driver does not say them.
};

/// Runs the kernels of Probes.cu, whose code is `image`. Takes about 3 GiB of memory, and seconds. Errors are the
/// driver's.
Expected<Measurements> measureDevice(const DeviceMemory &memory, const std::string &image);

} // namespace bq::test

#endif // BQ_TEST_GPU_PROBES_H
