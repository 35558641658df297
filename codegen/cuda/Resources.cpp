// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/cuda/Resources.h"

#include <algorithm>
#include <charconv>
#include <optional>

using namespace bq;

namespace {

/// The number that stands before `unit`; nothing where it does not stand there.
std::optional<int64_t> numberBefore(std::string_view line, std::string_view unit) {
  size_t end = line.find(unit);
  if (end == std::string_view::npos)
    return std::nullopt;
  size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9')
    --begin;
  int64_t value = 0;
  if (std::from_chars(line.data() + begin, line.data() + end, value).ec != std::errc())
    return std::nullopt;
  return value;
}

} // namespace

Expected<std::vector<KernelResources>> bq::parseResources(std::string_view log) {
  constexpr std::string_view entry = "Compiling entry function '";
  std::vector<KernelResources> kernels;
  // Of the kernel that is read: whether its line with the stack, and that with the registers, were seen.
  bool stack = true, registers = true;
  auto incomplete = [&] {
    return internalError("the log of NVRTC does not tell what kernel " + kernels.back().entry + " takes");
  };
  for (size_t at = 0; at < log.size();) {
    size_t end = std::min(log.find('\n', at), log.size());
    std::string_view line = log.substr(at, end - at);
    at = end + 1;
    if (size_t name = line.find(entry); name != std::string_view::npos) {
      if (!stack || !registers)
        return incomplete();
      name += entry.size();
      kernels.emplace_back().entry = line.substr(name, line.find('\'', name) - name);
      stack = registers = false;
      continue;
    }
    if (kernels.empty())
      continue;
    KernelResources &kernel = kernels.back();
    if (std::optional<int64_t> frame = numberBefore(line, " bytes stack frame")) {
      std::optional<int64_t> stores = numberBefore(line, " bytes spill stores");
      std::optional<int64_t> loads = numberBefore(line, " bytes spill loads");
      if (!stores || !loads)
        return incomplete();
      // Functions that were not inlined have lines of their own.
      kernel.stackBytes += *frame;
      kernel.spillBytes += *stores + *loads;
      stack = true;
    } else if (std::optional<int64_t> count = numberBefore(line, " registers")) {
      kernel.registers = *count;
      registers = true;
    }
  }
  if (kernels.empty())
    return internalError("the log of NVRTC names no kernel");
  if (!stack || !registers)
    return incomplete();
  return kernels;
}
