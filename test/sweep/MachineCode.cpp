// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "test/sweep/MachineCode.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <unistd.h>

using namespace bq;
using namespace bq::sweep;

namespace {

bool startsWith(std::string_view text, std::string_view prefix) { return text.substr(0, prefix.size()) == prefix; }

std::string_view trimmed(std::string_view text) {
  size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos)
    return "";
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// The instruction of a line such as "/*0010*/  @!P0 LDG.E.64 R2, [R4.64] ;"; without opcode where the line holds none.
Instruction parseInstruction(std::string_view line) {
  size_t end = line.find("*/");
  if (!startsWith(line, "/*") || end == std::string_view::npos)
    return {};
  line = trimmed(line.substr(end + 2, line.find(';') - end - 2));
  if (startsWith(line, "@"))
    line = trimmed(line.substr(std::min(line.find(' '), line.size())));
  if (line.empty() || line[0] < 'A' || line[0] > 'Z')
    return {};
  std::string_view word = line.substr(0, line.find(' '));
  size_t dot = std::min(word.find('.'), word.size());
  return {std::string(word.substr(0, dot)), std::string(word.substr(dot)),
          std::string(trimmed(line.substr(word.size())))};
}

/// A file that is removed at the end.
class TemporaryFile {
public:
  TemporaryFile() {
    path = (std::filesystem::temp_directory_path() / "bq-sweep-XXXXXX").string();
    descriptor = mkstemp(path.data());
  }
  ~TemporaryFile() {
    if (descriptor < 0)
      return;
    close(descriptor);
    unlink(path.c_str());
  }
  bool write(const std::vector<uint8_t> &bytes) const {
    return descriptor >= 0 && ::write(descriptor, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  std::string path;

private:
  int descriptor = -1;
};

} // namespace

int64_t Function::count(std::string_view opcode, Loop loop) const {
  return std::count_if(instructions.begin() + static_cast<std::ptrdiff_t>(loop.begin),
                       instructions.begin() + static_cast<std::ptrdiff_t>(loop.end),
                       [&](const Instruction &instruction) { return instruction.opcode == opcode; });
}

std::vector<Function> sweep::parseDisassembly(std::string_view text) {
  std::vector<Function> functions;
  std::map<std::string, size_t> labels;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = trimmed(text.substr(at, end - at));
    at = end + 1;
    constexpr std::string_view section = ".text.";
    if (startsWith(line, section) && line.back() == ':') {
      line.remove_suffix(1);
      functions.push_back({std::string(line.substr(section.size())), {}, {}});
      labels.clear();
      continue;
    }
    if (functions.empty())
      continue;
    Function &function = functions.back();
    if (startsWith(line, ".L_") && line.back() == ':') {
      line.remove_suffix(1);
      labels[std::string(line)] = function.instructions.size();
      continue;
    }
    Instruction instruction = parseInstruction(line);
    if (instruction.opcode.empty())
      continue;
    function.instructions.push_back(instruction);
    if (instruction.opcode != "BRA")
      continue;
    // Forward branches go to labels that have not been met.
    size_t label = instruction.operands.find(".L_");
    if (label == std::string::npos)
      continue;
    auto target = labels.find(instruction.operands.substr(label, instruction.operands.find(')', label) - label));
    if (target != labels.end())
      function.loops.push_back({target->second, function.instructions.size()});
  }
  return functions;
}

bool sweep::hasDisassembler() { return access(BQ_NVDISASM, X_OK) == 0; }

Expected<std::vector<Function>> sweep::disassemble(const std::vector<uint8_t> &cubin) {
  TemporaryFile file;
  if (!file.write(cubin))
    return ioError("cannot write " + file.path);
  FILE *pipe = popen((BQ_NVDISASM " '" + file.path + "' 2>&1").c_str(), "r");
  if (!pipe)
    return ioError("cannot start " BQ_NVDISASM);
  std::string text;
  char part[1 << 16];
  while (size_t size = std::fread(part, 1, sizeof(part), pipe))
    text.append(part, size);
  if (pclose(pipe) != 0)
    return internalError(BQ_NVDISASM " says: " + text);
  return parseDisassembly(text);
}
