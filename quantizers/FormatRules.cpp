// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/FormatRules.h"

#include <regex>

using namespace bq;

Expected<FormatRule> FormatRule::parse(const std::string &text) {
  size_t cut = text.rfind('=');
  Expected<Format> format = Format::parse(cut == std::string::npos ? text : text.substr(cut + 1));
  if (!format)
    return format.error();
  if (cut == 0)
    return invalidArgument("rule '" + text + "' has no pattern before '=': use FORMAT alone, or REGEX=FORMAT");
  return FormatRule{cut == std::string::npos ? "" : text.substr(0, cut), *format};
}

std::string FormatRule::str() const { return pattern.empty() ? format.str() : pattern + "=" + format.str(); }

namespace {

class Pattern {
public:
  explicit Pattern(const std::string &text) : text(text) {
    try {
      regex.assign(text, std::regex::ECMAScript);
    } catch (const std::regex_error &error) {
      TORCH_CHECK(false, "pattern '", text, "' is no regular expression: ", error.what());
    }
  }
  bool matches(const RuleSubject &subject) const { return std::regex_search(subject.name, regex); }

  std::string text;

private:
  std::regex regex;
};

std::vector<Pattern> compile(const std::vector<std::string> &texts) {
  return std::vector<Pattern>(texts.begin(), texts.end());
}

/// A few of the names that could have been meant.
std::string someNames(const std::vector<RuleSubject> &subjects) {
  constexpr size_t shown = 3;
  std::string text;
  for (size_t i = 0; i < subjects.size() && i < shown; ++i)
    text += (i ? ", " : "") + subjects[i].name;
  return subjects.size() > shown ? text + ", ... (" + std::to_string(subjects.size()) + " layers)" : text;
}

/// `given` is what the user wrote.
void requireMatch(const char *option, const std::string &given, const Pattern &pattern,
                  const std::vector<RuleSubject> &subjects) {
  for (const RuleSubject &subject : subjects)
    if (pattern.matches(subject))
      return;
  TORCH_CHECK(false, option, " '", given, "' matches no layer; the model has ", someNames(subjects));
}

bool anyMatches(const std::vector<Pattern> &patterns, const RuleSubject &subject) {
  for (const Pattern &pattern : patterns)
    if (pattern.matches(subject))
      return true;
  return false;
}

} // namespace

std::vector<RuleChoice> bq::applyRules(const std::vector<RuleSubject> &subjects, const ConvertOptions &options) {
  TORCH_CHECK(!subjects.empty(),
              "the model has no linear, convolution or embedding layer whose weight is a named tensor: "
              "save it from torch.jit.trace or torch.jit.script, without torch.jit.freeze");
  TORCH_CHECK(!options.rules.empty(), "no format is given: expected at least one rule [REGEX=]FORMAT");
  std::vector<Pattern> include = compile(options.include), exclude = compile(options.exclude), patterns;
  for (const FormatRule &rule : options.rules) {
    TORCH_CHECK(rule.format.kind != Format::Kind::Lut, "rule '", rule.str(), "': ", rule.format.str(),
                " cannot be quantized to, its table comes from the caller; use int, uint, nf4, fp4 or sign");
    TORCH_CHECK(
        !rule.format.isMixed() || !options.ready.empty(), "rule '", rule.str(), "': ", rule.format.str(),
        " cannot be quantized to, the bits of its groups come from the caller; use int, uint, nf4, fp4 or sign");
    patterns.emplace_back(rule.pattern);
    if (!rule.pattern.empty())
      requireMatch("rule", rule.str(), patterns.back(), subjects);
  }
  for (const Pattern &pattern : include)
    requireMatch("include pattern", pattern.text, pattern, subjects);
  for (const Pattern &pattern : exclude)
    requireMatch("exclude pattern", pattern.text, pattern, subjects);

  size_t ruleCount = options.rules.size();
  std::vector<bool> wins(ruleCount), applies(ruleCount), hidden(ruleCount);
  std::vector<std::string> obstacles(ruleCount);
  std::vector<RuleChoice> choices;
  size_t chosen = 0;
  for (const RuleSubject &subject : subjects) {
    RuleChoice &choice = choices.emplace_back();
    std::optional<size_t> winner;
    for (size_t i = 0; i < ruleCount; ++i) {
      bool isDefault = options.rules[i].pattern.empty();
      if (isDefault ? subject.embedding : !patterns[i].matches(subject))
        continue;
      applies[i] = true;
      if (winner)
        hidden[*winner] = true;
      winner = i;
    }
    if (!include.empty() && !anyMatches(include, subject))
      choice.reason = "not included";
    else if (anyMatches(exclude, subject))
      choice.reason = "excluded";
    else if (!subject.obstacle.empty())
      choice.reason = subject.obstacle;
    else if (!winner)
      choice.reason = subject.embedding ? "no rule names this embedding" : "no rule matches";
    if (winner && choice.reason == subject.obstacle)
      obstacles[*winner] = subject.obstacle;
    if (!choice.reason.empty())
      continue;
    choice.format = options.rules[*winner].format;
    wins[*winner] = true;
    ++chosen;
  }

  for (size_t i = 0; i < ruleCount; ++i) {
    if (wins[i])
      continue;
    std::string rule = options.rules[i].str();
    TORCH_CHECK(applies[i], "rule '", rule,
                "' has no pattern and the model has no linear or convolution layer: name the embeddings");
    TORCH_CHECK(obstacles[i].empty(), "rule '", rule, "' has no effect: ", obstacles[i]);
    TORCH_CHECK(!hidden[i], "rule '", rule,
                "' has no effect: every layer it matches is matched by a later rule, and the last match wins");
    TORCH_CHECK(false, "rule '", rule, "' has no effect: every layer it matches is excluded or not included");
  }
  TORCH_CHECK(chosen > 0, "no layer is left to quantize");
  return choices;
}
