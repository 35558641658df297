// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Progress.h"

#include "tools/bqc/Output.h"

#include <fmt/format.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

using namespace bq::cli;

Progress::Progress(std::string label, const OutputOptions &output)
    : label(std::move(label)), silent(output.quiet), bar(isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (open)
    std::fputc('\n', stderr);
}

void Progress::step(size_t done, size_t total, std::string_view name, std::string_view detail) {
  if (silent)
    return;
  const std::string what = detail.empty() ? std::string(name) : fmt::format("{} {}", name, detail);
  if (!bar) {
    fmt::print(stderr, "{} {}/{} {}\n", label, done, total, what);
    return;
  }
  winsize window{};
  const size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col ? window.ws_col : 80;
  constexpr size_t width = 24;
  const size_t filled = total ? width * done / total : width;
  std::string text =
      fmt::format("{} {:#<{}}{:.<{}} {}/{} {}", label, "", filled, "", width - filled, done, total, what);
  // A line that wraps could not be drawn over.
  text.resize(std::min(text.size(), columns - 1));
  if (colourOnStderr())
    fmt::print(stderr, "\r\033[K{}", text);
  else
    fmt::print(stderr, "\r{:<{}}", text, columns - 1);
  std::fflush(stderr);
  open = true;
}
