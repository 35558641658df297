// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How DiodeMix is saved and loaded: per group the options, per parameter what it is, and its state.
#include "quantizers/optim/DiodeMix.h"

#include "quantizers/nbit/Parameters.h"

#include <torch/serialize/archive.h>

using namespace bq;
using namespace bq::optim;

using bq::nn::QuantizedParameter;
using c10::IValue;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

static constexpr const char *name = "bq::optim::DiodeMix";
static constexpr const char *formatName = "bq::optim::DiodeMix 1";

namespace {

IValue read(InputArchive &archive, const std::string &key) {
  IValue value;
  TORCH_CHECK(archive.try_read(key, value), name, ": the archive has no '", key,
              "': it is not a saved DiodeMix, or not whole");
  return value;
}

InputArchive readArchive(InputArchive &archive, const std::string &key) {
  InputArchive child;
  TORCH_CHECK(archive.try_read(key, child), name, ": the archive has no '", key,
              "': it is not a saved DiodeMix, or not whole");
  return child;
}

void writeDefined(OutputArchive &archive, const std::string &key, const at::Tensor &tensor) {
  if (tensor.defined())
    archive.write(key, tensor, /*is_buffer=*/true);
}

at::Tensor readDefined(InputArchive &archive, const std::string &key, at::Device device) {
  at::Tensor tensor;
  return archive.try_read(key, tensor, /*is_buffer=*/true) ? tensor.to(device) : at::Tensor();
}

/// What a parameter is, as far as its state depends on it.
std::string describe(const at::Tensor &parameter) {
  if (QuantizedParameter::is(parameter))
    return QuantizedParameter(parameter).describe();
  return std::string("parameter ") + toString(parameter.scalar_type()) + " " + shapeText(parameter.sizes());
}

std::string key(const char *what, size_t number) { return what + std::to_string(number); }

/// `state` is null where no step has been taken.
void writeState(OutputArchive &archive, const at::Tensor &parameter, const DiodeMixParamState *state) {
  archive.write("step", IValue(state ? state->step : int64_t(-1)));
  if (!state)
    return;
  archive.write("moment_type", IValue(std::string(bq::str(state->moments.type))));
  writeDefined(archive, "exp_avg_l", state->moments.m);
  writeDefined(archive, "exp_avg_s", state->moments.v);
  writeDefined(archive, "exp_avg_l_scales", state->moments.mScales);
  writeDefined(archive, "exp_avg_s_scales", state->moments.vScales);
  archive.write("is_projected", IValue(state->projector.has_value()));
  if (state->projector) {
    writeDefined(archive, "left", state->projector->left());
    writeDefined(archive, "right", state->projector->right());
  }
  if (QuantizedParameter::is(parameter))
    writeDefined(archive, "residual", QuantizedParameter(parameter).contents().residual);
}

/// A parameter's state as it was read.
struct ReadState {
  std::unique_ptr<DiodeMixParamState> state; ///< Null where no step had been taken.
  at::Tensor residual;
};

ReadState readState(InputArchive &archive, const at::Tensor &parameter, const DiodeMixOptions &options) {
  ReadState result;
  const int64_t step = read(archive, "step").toInt();
  if (step < 0)
    return result;
  const at::Device device = parameter.device();
  result.state = std::make_unique<DiodeMixParamState>();
  result.state->step = step;
  Moments &moments = result.state->moments;
  moments.type = take(name, parseMomentType(read(archive, "moment_type").toStringRef()));
  moments.m = readDefined(archive, "exp_avg_l", device);
  moments.v = readDefined(archive, "exp_avg_s", device);
  moments.mScales = readDefined(archive, "exp_avg_l_scales", device);
  moments.vScales = readDefined(archive, "exp_avg_s_scales", device);
  TORCH_CHECK(moments.m.defined() && moments.v.defined(), name, ": the archive has no moments of a ",
              describe(parameter));
  if (read(archive, "is_projected").toBool()) {
    TORCH_CHECK(options.galore(), name, ": the archive has projected moments in a group without galore");
    result.state->projector.emplace(*options.galore());
    result.state->projector->restore(readDefined(archive, "left", device), readDefined(archive, "right", device));
  }
  result.residual = readDefined(archive, "residual", device);
  return result;
}

} // namespace

void DiodeMixOptions::serialize(OutputArchive &archive) const {
  archive.write("lr", IValue(lr()));
  archive.write("beta1", IValue(std::get<0>(betas())));
  archive.write("beta2", IValue(std::get<1>(betas())));
  archive.write("eps", IValue(eps()));
  archive.write("weight_decay", IValue(weight_decay()));
  archive.write("correct_bias", IValue(correct_bias()));
  archive.write("moments", IValue(std::string(bq::str(moments()))));
  archive.write("rounding", IValue(std::string(bq::str(rounding()))));
  archive.write("seed", IValue(seed()));
  archive.write("galore_rank", IValue(galore() ? galore()->rank() : int64_t(0)));
  if (galore()) {
    archive.write("galore_gap", IValue(galore()->update_proj_gap()));
    archive.write("galore_scale", IValue(galore()->scale()));
    archive.write("galore_type", IValue(std::string(str(galore()->proj_type()))));
  }
}

void DiodeMixOptions::serialize(InputArchive &archive) {
  lr(read(archive, "lr").toDouble());
  betas({read(archive, "beta1").toDouble(), read(archive, "beta2").toDouble()});
  eps(read(archive, "eps").toDouble());
  weight_decay(read(archive, "weight_decay").toDouble());
  correct_bias(read(archive, "correct_bias").toBool());
  moments(take(name, parseMomentType(read(archive, "moments").toStringRef())));
  rounding(take(name, parseRounding(read(archive, "rounding").toStringRef())));
  seed(read(archive, "seed").toInt());
  galore(std::nullopt);
  if (const int64_t rank = read(archive, "galore_rank").toInt())
    galore(GaLoreOptions(rank)
               .update_proj_gap(read(archive, "galore_gap").toInt())
               .scale(read(archive, "galore_scale").toDouble())
               .proj_type(parseProjection(read(archive, "galore_type").toStringRef())));
  check();
}

void DiodeMix::save(OutputArchive &archive) const {
  archive.write("format", IValue(std::string(formatName)));
  archive.write("groups", IValue(static_cast<int64_t>(param_groups_.size())));
  for (size_t group = 0; group < param_groups_.size(); ++group) {
    OutputArchive groupArchive(archive.compilation_unit()), optionsArchive(archive.compilation_unit());
    optionsOf(param_groups_[group]).serialize(optionsArchive);
    groupArchive.write("options", optionsArchive);
    const std::vector<at::Tensor> &parameters = param_groups_[group].params();
    groupArchive.write("parameters", IValue(static_cast<int64_t>(parameters.size())));
    for (size_t i = 0; i < parameters.size(); ++i) {
      OutputArchive entry(archive.compilation_unit());
      auto known = names.find(parameters[i].unsafeGetTensorImpl());
      entry.write("name", IValue(known == names.end() ? std::string() : known->second));
      entry.write("kind", IValue(describe(parameters[i])));
      auto found = state_.find(parameters[i].unsafeGetTensorImpl());
      writeState(entry, parameters[i],
                 found == state_.end() ? nullptr : static_cast<const DiodeMixParamState *>(found->second.get()));
      groupArchive.write(key("parameter", i), entry);
    }
    archive.write(key("group", group), groupArchive);
  }
}

void DiodeMix::load(InputArchive &archive) {
  std::string format = read(archive, "format").toStringRef();
  TORCH_CHECK(format == formatName, name, ": the archive is a '", format, "', this build of bq reads '", formatName,
              "'");
  const auto groups = static_cast<size_t>(read(archive, "groups").toInt());
  TORCH_CHECK(groups == param_groups_.size(), name, ": the archive has ", groups, " groups of parameters, this has ",
              param_groups_.size());
  // Everything is read and compared before anything is installed.
  std::vector<DiodeMixOptions> options(groups);
  std::vector<std::pair<at::Tensor, ReadState>> states;
  for (size_t group = 0; group < groups; ++group) {
    InputArchive groupArchive = readArchive(archive, key("group", group));
    InputArchive optionsArchive = readArchive(groupArchive, "options");
    options[group].serialize(optionsArchive);
    const std::vector<at::Tensor> &parameters = param_groups_[group].params();
    const auto count = static_cast<size_t>(read(groupArchive, "parameters").toInt());
    TORCH_CHECK(count == parameters.size(), name, ": group ", group, " of the archive has ", count,
                " parameters, here it has ", parameters.size());
    for (size_t i = 0; i < count; ++i) {
      InputArchive entry = readArchive(groupArchive, key("parameter", i));
      std::string savedName = read(entry, "name").toStringRef(), savedKind = read(entry, "kind").toStringRef();
      auto known = names.find(parameters[i].unsafeGetTensorImpl());
      bool sameName = savedName.empty() || known == names.end() || known->second == savedName;
      TORCH_CHECK(sameName && savedKind == describe(parameters[i]), name,
                  ": the archive is of another model: where it has '", savedName, "', a ", savedKind, ", there is ",
                  nameOf(parameters[i]), ", a ", describe(parameters[i]));
      states.emplace_back(parameters[i], readState(entry, parameters[i], options[group]));
    }
  }
  for (size_t group = 0; group < groups; ++group)
    static_cast<DiodeMixOptions &>(param_groups_[group].options()) = options[group];
  for (auto &[parameter, read] : states) {
    state_.erase(parameter.unsafeGetTensorImpl());
    if (read.state)
      state_[parameter.unsafeGetTensorImpl()] = std::move(read.state);
    if (QuantizedParameter::is(parameter))
      QuantizedParameter(parameter).contents().residual = read.residual;
  }
}
