// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Target.h"

#include "dialect/core/CudaAbi.h"
#include "dialect/core/KernelAbi.h"

using namespace bq;

namespace {

template <typename T>
Expected<Target> widen(const Expected<T> &target) {
  if (!target)
    return target.error();
  return Target(*target);
}

} // namespace

std::string bq::str(const Target &target) {
  if (auto *gpu = std::get_if<CudaTarget>(&target))
    return "cuda:" + gpu->str();
  return std::get<CpuTarget>(target).str();
}

Expected<Target> bq::parseTarget(std::string_view text) {
  if (text == "cpu")
    return widen(CpuTarget::fromEnvironment());
  if (text.substr(0, 4) == "cpu:")
    return widen(CpuTarget::parse(text.substr(4)));
  if (text.substr(0, 5) == "cuda:")
    return widen(CudaTarget::parse(text));
  return invalidArgument("unknown target '" + std::string(text) +
                         "', expected cpu, cpu:NAME such as cpu:haswell, or cuda:ARCH such as cuda:sm_90a");
}

int bq::kernelRows(const Target &target, int64_t m) {
  return std::holds_alternative<CudaTarget>(target) ? cuda::kernelRows(m) : abi::kernelRows(m);
}
