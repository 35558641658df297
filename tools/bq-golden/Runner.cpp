// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/Runner.h"

#include <fmt/format.h>

#include <algorithm>

using namespace bq;
using namespace bq::golden;

namespace {

bool isSelected(const CaseEntry &entry, const Selection &selection) {
  return (selection.system.empty() || entry.system == selection.system) &&
         (selection.op.empty() || entry.op == selection.op) && (selection.id.empty() || entry.id == selection.id);
}

/// The first line of an error; LibTorch's own go on with a trace.
std::string firstLine(const std::exception &error) {
  const auto *own = dynamic_cast<const c10::Error *>(&error);
  const std::string text = own ? own->what_without_backtrace() : error.what();
  return text.substr(0, text.find('\n'));
}

/// What is wrong with the results of a case, by output; with `allowsRounding` what is beyond rounding.
std::vector<Failure> judge(const CaseEntry &entry, const SafeTensors &contents, const OpEntry &op,
                           const Results &results, bool allowsRounding) {
  std::vector<Failure> failures;
  auto fail = [&](const std::string &output, std::optional<Mismatch> mismatch, std::string text) {
    failures.push_back({entry.id, entry.system, entry.op, output, std::move(mismatch), std::move(text)});
  };
  for (const auto &[name, output] : entry.outputs) {
    if (op.informative.count(name))
      continue;
    auto found = results.tensors.find(name);
    if (found == results.tensors.end()) {
      fail(name, std::nullopt, "is not an output of this op");
      continue;
    }
    auto rounding = results.rounding.find(name);
    std::optional<Mismatch> mismatch =
        compare(found->second, findTensor(contents, entry, output), entry.tolerances.at(name),
                allowsRounding && rounding != results.rounding.end() ? rounding->second : at::Tensor());
    if (mismatch)
      fail(name, mismatch, mismatch->text);
  }
  for (const auto &[name, expected] : entry.expect.items()) {
    if (!results.values.contains(name))
      fail(name, std::nullopt, "is not a value of this op");
    else if (results.values[name] != expected)
      fail(name, std::nullopt, fmt::format("got {}, expected {}", results.values[name].dump(), expected.dump()));
  }
  return failures;
}

/// The failures of a case, and whether rounding explains them.
struct Verdict {
  std::vector<Failure> failures;
  bool isRounding = false;
};

Verdict runCase(const CaseEntry &entry, const SafeTensors &contents, const OpTable &table) {
  auto failed = [&](std::string text) {
    return Verdict{{{entry.id, entry.system, entry.op, "", std::nullopt, std::move(text)}}};
  };
  auto system = table.find(entry.system);
  if (system == table.end() || !system->second.count(entry.op))
    return failed(fmt::format("the op '{}' of '{}' is not known", entry.op, entry.system));
  const OpEntry &op = system->second.at(entry.op);
  Case given;
  given.params = entry.params;
  for (const auto &[name, input] : entry.inputs)
    given.inputs[name] = findTensor(contents, entry, input);
  try {
    const Results results = op.run(given);
    auto holds = [&](const Results &some) { return judge(entry, contents, op, some, /*allowsRounding=*/true).empty(); };
    Verdict verdict{judge(entry, contents, op, results, /*allowsRounding=*/false)};
    verdict.isRounding = !verdict.failures.empty() &&
                         (holds(results) || std::any_of(results.others.begin(), results.others.end(), holds));
    return verdict;
  } catch (const std::exception &error) {
    return failed(firstLine(error));
  }
}

} // namespace

Report golden::runCases(const Index &index, const Selection &selection, const OpTable &table) {
  Report report;
  std::vector<const CaseEntry *> chosen;
  for (const CaseEntry &entry : index.cases) {
    if (!isSelected(entry, selection))
      continue;
    if (selection.system.empty() && !table.count(entry.system))
      ++report.skipped[entry.system];
    else
      chosen.push_back(&entry);
  }
  TORCH_CHECK(!chosen.empty(), index.path, ": none of the ", index.cases.size(), " cases is selected");

  std::map<std::string, SafeTensors> files;
  for (const CaseEntry *entry : chosen) {
    if (!files.count(entry->file))
      files[entry->file] = readCaseFile(index, entry->file);
    for (const auto *tensors : {&entry->inputs, &entry->outputs})
      for (const auto &[name, tensor] : *tensors)
        findTensor(files[entry->file], *entry, tensor);
  }
  for (const CaseEntry *entry : chosen) {
    Verdict verdict = runCase(*entry, files[entry->file], table);
    ++(verdict.failures.empty() ? report.passed : verdict.isRounding ? report.rounded : report.failed);
    for (Failure &failure : verdict.failures)
      (verdict.isRounding ? report.misses : report.failures).push_back(std::move(failure));
  }
  return report;
}
