// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which CPU a kernel is made for: a name that LLVM knows and the instruction sets that kernels choose by.
#ifndef BQ_DIALECT_CORE_CPUTARGET_H
#define BQ_DIALECT_CORE_CPUTARGET_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bq {

struct CpuTarget {
  enum Feature : uint32_t {
    AVX2 = 1 << 0,
    FMA = 1 << 1,
    F16C = 1 << 2,
    AVX512 = 1 << 3, ///< F, BW, DQ and VL together
    AVX512VNNI = 1 << 4,
    AVX512BF16 = 1 << 5,
    AVX512VBMI = 1 << 6, ///< VBMI and VBMI2 together
    AVXVNNI = 1 << 7,
  };

  std::string name = "x86-64"; ///< As LLVM spells it. Code is tuned for it, but uses no instructions beyond `features`.
  uint32_t features = 0;       ///< Feature bits, beside what every x86-64 has.

  bool has(Feature feature) const { return features & feature; }
  /// f32 lanes of the widest vector: 16, 8 or 4.
  int lanes() const { return has(AVX512) ? 16 : has(AVX2) ? 8 : 4; }
  /// LLVM's feature string, such as "+avx2,+fma"; equal for equal targets, so part of a kernel's key.
  std::string featureString() const;
  /// Name and features in one line, for keys and messages; parse() takes it back.
  std::string str() const;
  /// Whether a kernel for this target runs on `machine`.
  bool runsOn(const CpuTarget &machine) const { return (features & ~machine.features) == 0; }

  /// What this process runs on; asked of the CPU once.
  static const CpuTarget &host();
  /// `host`, a name from the table of known CPUs, or what str() gives; errors list the names.
  static Expected<CpuTarget> parse(std::string_view name);
  /// The target to compile for: BQ_CPU where set, else the host. An error where the host cannot run it.
  static Expected<CpuTarget> fromEnvironment();
};

} // namespace bq

#endif // BQ_DIALECT_CORE_CPUTARGET_H
