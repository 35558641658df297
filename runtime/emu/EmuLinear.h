// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Linear layers on the emulator.
#ifndef BQ_RUNTIME_EMU_EMULINEAR_H
#define BQ_RUNTIME_EMU_EMULINEAR_H

#include "runtime/cuda/FragmentWeight.h"
#include "runtime/emu/EmuKernels.h"
#include "runtime/emu/EmuMemory.h"

namespace bq::emu {

/// A prepacked weight in the emulator's memory. Immutable.
class EmuWeight final : public PrepackedWeight {
public:
  explicit EmuWeight(FragmentWeight packed)
      : fragments(std::move(packed)), codes(copy(fragments.codes)), scales(copy(fragments.scales)),
        zeros(copy(fragments.zeros)), table(copy(fragments.table)), permutation(copy(fragments.permutation)),
        columnScale(copy(fragments.columnScale)) {}

  const Format &format() const override { return fragments.format(); }
  int64_t n() const override { return fragments.n(); }
  int64_t k() const override { return fragments.k(); }
  int64_t bytes() const override { return fragments.bytes(); }

  const FragmentWeight fragments;
  const EmuMemory codes, scales, zeros, table, permutation, columnScale;

private:
  EmuMemory copy(const FragmentWeight::Part &part) const { return {fragments.data() + part.offset, part.bytes}; }
};

/// `count` rows of `rowBytes` bytes, `strideBytes` apart: what lies between them is no part of it.
std::vector<Buffer> rowBuffers(const void *data, int64_t count, int64_t rowBytes, int64_t strideBytes, bool writable);

/// Backend::linear() on verified arguments with rows in them.
Status runLinear(EmuKernels &kernels, const EmuWeight &weight, const LinearArgs &args);

} // namespace bq::emu

#endif // BQ_RUNTIME_EMU_EMULINEAR_H
