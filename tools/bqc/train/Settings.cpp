// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/train/Settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

using namespace bq;
using namespace bq::cli;
using Json = nlohmann::ordered_json;

namespace {

/// Calls `visit(name, value)` for each setting.
template <typename Options, typename Visit>
void forEachSetting(Options &options, const Visit &visit) {
  visit("data", options.data);
  visit("label", options.label);
  visit("image", options.image);
  visit("test-share", options.testShare);
  visit("model", options.model);
  visit("layer", options.layer);
  visit("weight-bits", options.weightBits);
  visit("activation-bits", options.activationBits);
  visit("optimizer", options.optimizer);
  visit("rounding", options.rounding);
  visit("moments", options.moments);
  visit("lr", options.lr);
  visit("schedule", options.schedule);
  visit("epochs", options.epochs);
  visit("batch", options.batch);
  visit("seed", options.seed);
  visit("threads", options.threads);
  visit("quantizer", options.quantizer);
  visit("penalty", options.penalty);
  visit("target-size", options.targetSize);
  visit("group-size", options.groupSize);
  visit("noise", options.noise);
  visit("init-bits", options.initBits);
  visit("bits-lr", options.bitsLr);
  visit("min-size", options.minSize);
}

std::string text(const Json &value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

bool isGiven(const TrainOptions &options, const char *name) {
  return std::find(options.given.begin(), options.given.end(), name) != options.given.end();
}

} // namespace

Json cli::settingsOf(const TrainOptions &options) {
  Json settings = Json::object();
  forEachSetting(options, [&](const char *name, const auto &value) { settings[name] = value; });
  return settings;
}

Status cli::restoreSettings(TrainOptions &options, const Json &saved, const std::string &checkpoint) {
  Status status;
  TrainOptions restored = options;
  forEachSetting(restored, [&](const char *name, auto &value) {
    const Json mine = value;
    if (!saved.contains(name)) {
      if (status)
        status = invalidArgument(fmt::format("--checkpoint {}: says nothing of --{}", checkpoint, name));
      return;
    }
    if (isGiven(options, name) && mine != saved[name] && status)
      status = invalidArgument(fmt::format("--{} {}: the run of --checkpoint {} has --{} {}; leave the option out, or "
                                           "begin a new run with another file",
                                           name, text(mine), checkpoint, name, text(saved[name])));
    saved[name].get_to(value);
  });
  if (status)
    options = restored;
  return status;
}

void cli::setQuantizerDefaults(TrainOptions &options) {
  if (options.quantizer == "none")
    return;
  if (!isGiven(options, "layer"))
    options.layer = "float";
  if (!isGiven(options, "optimizer"))
    options.optimizer = "adamw";
}

static Status checkQuantizer(const TrainOptions &options) {
  if (options.quantizer == "none") {
    if (!options.resume)
      for (const char *name :
           {"penalty", "target-size", "group-size", "noise", "init-bits", "bits-lr", "min-size", "report"})
        if (isGiven(options, name))
          return invalidArgument(fmt::format("--{}: needs --quantizer diffq", name));
    return {};
  }
  if (options.layer != "float")
    return invalidArgument(fmt::format("--layer {}: --quantizer {} quantizes float layers, expected float",
                                       options.layer, options.quantizer));
  if (!(options.penalty >= 0) || !std::isfinite(options.penalty))
    return invalidArgument(fmt::format("--penalty {}: expected a number, 0 or more", options.penalty));
  if (!(options.targetSize >= 0) || !std::isfinite(options.targetSize) ||
      (isGiven(options, "target-size") && options.targetSize == 0))
    return invalidArgument(fmt::format("--target-size {}: expected MB, above 0", options.targetSize));
  if (options.targetSize > 0 && options.penalty == 0)
    return invalidArgument("--penalty 0: --target-size steers the penalty from its first value, expected above 0");
  if (!(options.bitsLr > 0) || !std::isfinite(options.bitsLr))
    return invalidArgument(fmt::format("--bits-lr {}: expected a number above 0", options.bitsLr));
  return {};
}

Status cli::checkSettings(const TrainOptions &options) {
  const bool packed = options.layer == "mpq";
  if (!(options.lr > 0) || !std::isfinite(options.lr))
    return invalidArgument(fmt::format("--lr {}: expected a number above 0", options.lr));
  if (!(options.testShare > 0) || !(options.testShare < 1))
    return invalidArgument(fmt::format("--test-share {}: expected a number between 0 and 1", options.testShare));
  if (packed && options.optimizer != "diodemix")
    return invalidArgument(
        fmt::format("--optimizer {}: --layer mpq trains packed weights, expected diodemix", options.optimizer));
  if (isGiven(options, "weight-bits") && options.layer != "nbit" && !packed)
    return invalidArgument(
        fmt::format("--weight-bits: --layer {} has bits of its own, expected nbit or mpq", options.layer));
  if (isGiven(options, "activation-bits") && options.layer != "nbit")
    return invalidArgument(
        fmt::format("--activation-bits: --layer {} has activations of its own, expected nbit", options.layer));
  if (options.activationBits > 8 && options.activationBits != 16)
    return invalidArgument(
        fmt::format("--activation-bits {}: expected 1 to 8, or 16 for floats as they are", options.activationBits));
  for (const char *name : {"rounding", "moments"})
    if (isGiven(options, name) && options.optimizer != "diodemix")
      return invalidArgument(
          fmt::format("--{}: --optimizer {} has none, expected --optimizer diodemix", name, options.optimizer));
  return checkQuantizer(options);
}
