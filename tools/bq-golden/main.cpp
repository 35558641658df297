// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Runner.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <c10/util/Exception.h>

#include <iostream>

using namespace bq::golden;

namespace {

enum ExitCode { Passed = 0, Failed = 1, Usage = 2 };

int fail(const std::string &text, ExitCode code) {
  std::cerr << "bq-golden: error: " << text.substr(0, text.find('\n')) << std::endl;
  return code;
}

nlohmann::json toJson(const std::vector<Failure> &failures) {
  nlohmann::json entries = nlohmann::json::array();
  for (const Failure &failure : failures) {
    nlohmann::json entry = {{"case", failure.id},
                            {"system", failure.system},
                            {"op", failure.op},
                            {"output", failure.output},
                            {"text", failure.text}};
    if (failure.mismatch && !failure.mismatch->element.empty()) {
      entry["element"] = failure.mismatch->element;
      entry["got"] = failure.mismatch->got;
      entry["expected"] = failure.mismatch->expected;
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

nlohmann::json toJson(const Report &report) {
  return {{"passed", report.passed},   {"failed", report.failed},         {"rounded", report.rounded},
          {"skipped", report.skipped}, {"misses", toJson(report.misses)}, {"failures", toJson(report.failures)}};
}

void print(const std::vector<Failure> &failures, const char *verdict) {
  for (const Failure &failure : failures)
    std::cout << verdict << " " << failure.id << " (" << failure.op << ")"
              << (failure.output.empty() ? "" : " " + failure.output) << ": " << failure.text << "\n";
}

void print(const Report &report) {
  print(report.failures, "FAILED");
  print(report.misses, "ROUNDED");
  for (const auto &[system, count] : report.skipped)
    std::cout << count << " of " << system << " skipped: none of its ops is known\n";
  std::cout << report.passed << " passed, " << report.failed << " failed";
  if (report.rounded)
    std::cout << ", " << report.rounded << " off by rounding";
  std::cout << "\n";
}

int run(const std::string &path, const Selection &selection, bool asJson) {
  const Report report = runCases(readIndex(path), selection, allOps());
  if (asJson)
    std::cout << toJson(report).dump(2) << "\n";
  else
    print(report);
  std::cout.flush();
  if (!std::cout)
    return fail("cannot write to stdout", Failed);
  return report.failed ? Failed : Passed;
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("bq-golden runs golden cases against this build", "bq-golden");
  std::string index;
  Selection selection;
  bool asJson = false;
  app.add_option("index", index, "INDEX.json; its files are found from the folder above it")->required();
  app.add_option("--system", selection.system, "Only cases of this system, such as bitorch-engine");
  app.add_option("--op", selection.op, "Only cases of this op");
  app.add_option("--case", selection.id, "Only this case");
  app.add_flag("--json", asJson, "Write one JSON object to stdout");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &help) {
    return app.exit(help);
  } catch (const CLI::ParseError &error) {
    return fail(std::string(error.what()) + " (bq-golden --help lists what is accepted)", Usage);
  }
  try {
    return run(index, selection, asJson);
  } catch (const c10::Error &error) {
    return fail(error.what_without_backtrace(), Failed);
  } catch (const std::exception &error) {
    return fail(error.what(), Failed);
  }
}
