// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

using namespace bq;
using namespace bq::cli;

namespace {

/// An error is one line whatever its text holds.
void writeLine(std::string_view label, const char *colour, std::string_view text) {
  std::string line(text.substr(0, text.find_last_not_of(" \n\r\t") + 1));
  for (char &c : line)
    if (c == '\n' || c == '\r')
      c = ' ';
  const bool coloured = colourOnStderr();
  const std::string whole =
      fmt::format("bqc: {}{}:{} {}\n", coloured ? colour : "", label, coloured ? "\033[0m" : "", line);
  std::fflush(stdout);
  std::fwrite(whole.data(), 1, whole.size(), stderr);
}

} // namespace

bool cli::colourOnStderr() {
  const char *noColour = std::getenv("NO_COLOR");
  return (!noColour || !*noColour) && isatty(STDERR_FILENO);
}

int cli::fail(std::string_view text) {
  writeLine("error", "\033[1;31m", text);
  return Failed;
}

int cli::failUsage(std::string_view text) {
  writeLine("error", "\033[1;31m", text);
  return Usage;
}

void cli::warn(std::string_view text) { writeLine("warning", "\033[1;33m", text); }

std::string cli::sizeText(int64_t bytes) {
  constexpr const char *units[] = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000)
    return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  int unit = 0;
  for (; value >= 999.95 && unit < 3; ++unit)
    value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string cli::shapeText(const std::vector<int64_t> &shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }
