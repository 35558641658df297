// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A weight in the emulator's memory as kernels read it.
#ifndef BQ_RUNTIME_EMU_EMUWEIGHT_H
#define BQ_RUNTIME_EMU_EMUWEIGHT_H

#include "runtime/cuda/FragmentWeight.h"
#include "runtime/emu/EmuKernels.h"
#include "runtime/emu/EmuMemory.h"

#include <memory>

namespace bq::emu {

/// Immutable once it is prepacked.
class EmuWeight final : public PrepackedWeight {
public:
  /// What a kernel makes of a verified weight; of the format `mixed` a copy of its codes. Errors are those of
  /// EmuKernels::get and of its launch.
  static Expected<std::shared_ptr<const EmuWeight>> prepack(EmuKernels &kernels, const CanonicalWeight &weight);

  const Format &format() const override { return fragments.format(); }
  int64_t n() const override { return fragments.n(); }
  int64_t k() const override { return fragments.k(); }
  int64_t bytes() const override { return fragments.bytes(); }

  const FragmentWeight fragments;
  EmuMemory codes, scales, zeros, columnScale, permutation, table;

private:
  explicit EmuWeight(const CanonicalWeight &weight);
};

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMUWEIGHT_H
