// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CudaTarget.h"

#include <algorithm>
#include <charconv>

using namespace bq;

namespace {

constexpr int known[] = {80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
constexpr int newestKnown = 121;
/// Three digits that begin otherwise are a slip, not a device to come.
constexpr int bound = 200;

constexpr int mostMultiprocessors = 1024;

constexpr std::string_view accepted = "sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120a or emu";

Error refuse(std::string_view name, const std::string &why) {
  return invalidArgument("GPU architecture '" + std::string(name) + "' " + why + ": use one of " +
                         std::string(accepted));
}

} // namespace

std::string CudaTarget::str() const {
  if (isEmulator)
    return multiprocessors == CudaTarget().multiprocessors ? "emu" : "emu:" + std::to_string(multiprocessors);
  return "sm_" + std::to_string(sm()) + (isSpecific() ? "a" : "");
}

Expected<CudaTarget> CudaTarget::parse(std::string_view name) {
  constexpr std::string_view backend = "cuda:", prefix = "sm_";
  std::string_view text = name;
  if (text.substr(0, backend.size()) == backend)
    text.remove_prefix(backend.size());
  CudaTarget target;
  constexpr std::string_view emulator = "emu";
  if (text.substr(0, emulator.size()) == emulator) {
    target.isEmulator = true;
    text.remove_prefix(emulator.size());
    if (text.empty())
      return target;
    auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), target.multiprocessors);
    if (text.front() != ':' || error != std::errc() || end != text.data() + text.size() || target.multiprocessors < 1 ||
        target.multiprocessors > mostMultiprocessors)
      return refuse(name, "is not known, the emulator has 1 to " + std::to_string(mostMultiprocessors) +
                              " multiprocessors, as in emu:132");
    return target;
  }
  if (text.substr(0, prefix.size()) != prefix)
    return refuse(name, "is not known");
  text.remove_prefix(prefix.size());

  int sm = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sm);
  std::string_view suffix = text.substr(end - text.data());
  if (error != std::errc() || sm < 10 || text.front() == '-')
    return refuse(name, "is not known");
  if (sm < 80)
    return refuse(name, "is too old, kernels use bf16 mma and cp.async, which begin with sm_80");
  if (sm >= bound || (sm <= newestKnown && std::find(std::begin(known), std::end(known), sm) == std::end(known)))
    return refuse(name, "is not known");
  target.major = sm / 10;
  target.minor = sm % 10;
  if (!suffix.empty() && !(suffix == "a" && target.isSpecific()))
    return refuse(name, "is not known");
  return target;
}
