// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CpuTarget.h"

#include <cstdlib>
#include <utility>

using namespace bq;

namespace {

struct Named {
  std::string_view name;
  uint32_t features;
};

constexpr uint32_t v3 = CpuTarget::AVX2 | CpuTarget::FMA | CpuTarget::F16C;
constexpr uint32_t v4 = v3 | CpuTarget::AVX512;
constexpr uint32_t vnni = v4 | CpuTarget::AVX512VNNI;
constexpr uint32_t vbmi = vnni | CpuTarget::AVX512VBMI;

constexpr Named known[] = {
    {"x86-64", 0},
    {"x86-64-v2", 0},
    {"x86-64-v3", v3},
    {"haswell", v3},
    {"skylake", v3},
    {"znver2", v3},
    {"znver3", v3},
    {"alderlake", v3 | CpuTarget::AVXVNNI},
    {"x86-64-v4", v4},
    {"skylake-avx512", v4},
    {"cascadelake", vnni},
    {"icelake-server", vbmi},
    {"sapphirerapids", vbmi | CpuTarget::AVX512BF16 | CpuTarget::AVXVNNI},
    {"znver4", vbmi | CpuTarget::AVX512BF16},
    {"znver5", vbmi | CpuTarget::AVX512BF16 | CpuTarget::AVXVNNI},
};

constexpr std::pair<uint32_t, std::string_view> spelled[] = {
    {CpuTarget::AVX2, "+avx2"},
    {CpuTarget::FMA, "+fma"},
    {CpuTarget::F16C, "+f16c"},
    {CpuTarget::AVX512, "+avx512f,+avx512bw,+avx512dq,+avx512vl"},
    {CpuTarget::AVX512VNNI, "+avx512vnni"},
    {CpuTarget::AVX512BF16, "+avx512bf16"},
    {CpuTarget::AVX512VBMI, "+avx512vbmi,+avx512vbmi2,+popcnt"},
    {CpuTarget::AVXVNNI, "+avxvnni"},
};

CpuTarget detectHost() {
  CpuTarget host;
#if defined(__x86_64__)
  __builtin_cpu_init();
  auto set = [&](bool present, uint32_t feature) { host.features |= present ? feature : 0; };
  set(__builtin_cpu_supports("avx2"), CpuTarget::AVX2);
  set(__builtin_cpu_supports("fma"), CpuTarget::FMA);
  set(__builtin_cpu_supports("f16c"), CpuTarget::F16C);
  set(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
          __builtin_cpu_supports("avx512vl"),
      CpuTarget::AVX512);
  set(__builtin_cpu_supports("avx512vnni"), CpuTarget::AVX512VNNI);
  set(__builtin_cpu_supports("avx512bf16"), CpuTarget::AVX512BF16);
  set(__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"), CpuTarget::AVX512VBMI);
  set(__builtin_cpu_supports("avxvnni"), CpuTarget::AVXVNNI);
  // Kernels for a level ask for all of it: a host with AVX2 but without FMA or F16C counts as the level below.
  if ((host.features & v3) != v3)
    host.features = 0;
  if (!host.has(CpuTarget::AVX512))
    host.features &= v3 | CpuTarget::AVXVNNI;
  host.name = host.has(CpuTarget::AVX512) ? "x86-64-v4" : host.has(CpuTarget::AVX2) ? "x86-64-v3" : "x86-64";
#endif
  return host;
}

} // namespace

std::string CpuTarget::featureString() const {
  std::string text;
  for (auto [feature, name] : spelled)
    if (features & feature)
      text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

std::string CpuTarget::str() const { return features ? name + ":" + featureString() : name; }

const CpuTarget &CpuTarget::host() {
  static const CpuTarget host = detectHost();
  return host;
}

Expected<CpuTarget> CpuTarget::parse(std::string_view name) {
  if (name == "host")
    return host();
  if (size_t colon = name.find(':'); colon != std::string_view::npos) {
    CpuTarget target{std::string(name.substr(0, colon)), 0};
    for (auto [feature, spelling] : spelled)
      if (name.find(spelling, colon) != std::string_view::npos)
        target.features |= feature;
    if (Expected<CpuTarget> base = parse(target.name); !base)
      return base.error();
    if (target.str() != name)
      return invalidArgument("cpu '" + std::string(name) +
                             "' does not read as a name and its features: did you mean '" + target.str() + "'?");
    return target;
  }
  std::string accepted = "host";
  for (const Named &cpu : known) {
    if (cpu.name == name)
      return CpuTarget{std::string(name), cpu.features};
    accepted += ", " + std::string(cpu.name);
  }
  return invalidArgument("cpu '" + std::string(name) + "' is not known: use one of " + accepted);
}

Expected<CpuTarget> CpuTarget::fromEnvironment() {
  const char *name = std::getenv("BQ_CPU");
  if (!name || !*name)
    return host();
  Expected<CpuTarget> target = parse(name);
  if (!target)
    return Error{target.error().code, "BQ_CPU: " + target.error().message};
  if (!target->runsOn(host()))
    return invalidArgument("BQ_CPU '" + std::string(name) + "' needs " + target->featureString() +
                           ", but this machine has only " + host().featureString());
  return target;
}
