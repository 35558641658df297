// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Arguments.h"

#include <regex>

using namespace bq;
using namespace bq::cli;

void cli::addCommon(CLI::App &command, OutputOptions &output) {
  command.add_flag("-q,--quiet", output.quiet, "Write nothing to stderr but errors");
  command.add_flag("-v,--verbose", output.verbose, "Say more; may be repeated");
}

void cli::addOutput(CLI::App &command, OutputOptions &output) {
  command.add_flag("--json", output.json, "Write one JSON object to stdout");
  addCommon(command, output);
}

void cli::addDevice(CLI::App &command, std::string &device, const char *meaning) {
  command.add_option("--device", device, meaning)->check(CLI::IsMember({"cpu", "cuda"}))->capture_default_str();
}

CLI::Option *cli::addThreads(CLI::App &command, int &threads) {
  return command.add_option("--threads", threads, "Threads to use")->check(CLI::Range(1, 1024));
}

void cli::addPatterns(CLI::App &command, std::vector<std::string> &include, std::vector<std::string> &exclude) {
  command.add_option("--include", include, "Only layers whose name matches one of these patterns")->check(isPattern());
  command.add_option("--exclude", exclude, "Not the layers whose name matches one of these patterns")
      ->check(isPattern());
}

static std::string patternError(const std::string &text) {
  try {
    std::regex regex(text, std::regex::ECMAScript);
    return "";
  } catch (const std::regex_error &error) {
    return "pattern '" + text + "' is no regular expression: " + error.what();
  }
}

CLI::Validator cli::isPattern() { return {patternError, ""}; }

CLI::Validator cli::isRule() {
  const auto error = [](const std::string &text) {
    const size_t cut = text.rfind('=');
    return cut == std::string::npos ? "" : patternError(text.substr(0, cut));
  };
  return {error, ""};
}
