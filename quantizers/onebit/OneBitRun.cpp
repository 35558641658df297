// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/onebit/LinearCalls.h"
#include "quantizers/onebit/OneBit.h"

#include <algorithm>
#include <numeric>
#include <utility>

using namespace bq;
using namespace bq::onebit;

using at::Tensor;

namespace {

/// Weights of the model in whose place other values stand. Puts all back at the end.
class ReplacedWeights {
public:
  ReplacedWeights() = default;
  ReplacedWeights(const ReplacedWeights &) = delete;
  ReplacedWeights &operator=(const ReplacedWeights &) = delete;
  ~ReplacedWeights() { useFloat(); }

  /// `values` stand for the weight from the next useQuantized() on.
  void add(const Tensor &weight, const Tensor &values) {
    entries.push_back({weight, weight.detach(), values.to(weight.options())});
  }
  void useQuantized() {
    for (Entry &entry : entries)
      entry.weight.set_data(entry.quantized);
  }
  void useFloat() {
    for (Entry &entry : entries)
      entry.weight.set_data(entry.original);
  }

private:
  struct Entry {
    Tensor weight, original, quantized; ///< `original` keeps the memory that `weight` had.
  };
  std::vector<Entry> entries;
};

} // namespace

class OneBit::Run {
public:
  Run(OneBit &owner, const CalibrationData &data, const OneBitRunOptions &options)
      : owner(owner), data(data), options(options) {
    if (!options.journal)
      return;
    for (const auto &[name, result] : options.journal->finished()) {
      const ModelLayer &layer = owner.find(name);
      TORCH_CHECK(result.inFeatures() == layer.inputs() && result.isTransposed == layer.isTransposed &&
                      result.dequantizedWeight().sizes() == layer.weight.sizes(),
                  "layer '", name, "': the journal holds a weight of another shape than ", layer.weight.sizes());
      owner.results[name] = result;
    }
  }

  void all() {
    const OneBitOptions &settings = owner.options;
    const bool needsData = settings.flag_calibration() && (settings.flag_hessian() || settings.flag_xtx() ||
                                                           settings.calc_quant_error() || options.qep);
    TORCH_CHECK(!needsData || (data.batches && data.forward), settings.name(),
                ": needs calibration data; give some, or set flag_calibration and flag_hessian to false");
    TORCH_CHECK(needsData || !options.qep, settings.name(), ": qep needs flag_calibration");
    TORCH_CHECK(options.inputNoise >= 0, settings.name(), ": inputNoise is ", options.inputNoise, ", use 0 or more");
    if (options.qep)
      return withQep();
    const std::vector<size_t> open = unfinished();
    if (!needsData)
      for (size_t layer : open)
        finish(layer, weightOf(layer), nullptr);
    else if (options.order == CalibrationOrder::LayerByLayer)
      for (size_t layer : open)
        calibrated({layer});
    else if (!open.empty())
      calibrated(open);
  }

private:
  std::vector<size_t> unfinished() const {
    std::vector<size_t> numbers;
    for (size_t i = 0; i < owner.modelLayers.size(); ++i)
      if (!isFinished(i))
        numbers.push_back(i);
    return numbers;
  }
  bool isFinished(size_t layer) const {
    return options.journal && options.journal->finished().count(owner.modelLayers[layer].name);
  }
  Tensor weightOf(size_t layer) const { return owner.modelLayers[layer].rows(); }
  Hessian emptyHessian(size_t layer) const {
    return Hessian(owner.modelLayers[layer].inputs(), owner.options.hessian_dtype());
  }

  /// Runs the model on a batch; `onInput` gets a position in `layers`.
  void forward(size_t batch, const std::vector<size_t> &layers,
               const std::function<void(size_t position, const Tensor &x)> &onInput) {
    std::vector<Tensor> weights;
    for (size_t layer : layers)
      weights.push_back(owner.modelLayers[layer].weight);
    watchLinearCalls(weights, [&] { data.forward(batch); }, onInput);
  }
  void countBatch(size_t batch) const {
    if (options.onBatch)
      options.onBatch(batch + 1, data.batches);
  }

  /// One pass over the data, then each of the layers.
  void calibrated(const std::vector<size_t> &layers) {
    std::vector<std::optional<Hessian>> hessians;
    for (size_t layer : layers)
      hessians.emplace_back(emptyHessian(layer));
    for (size_t batch = 0; batch < data.batches; ++batch) {
      forward(batch, layers, [&](size_t position, const Tensor &x) {
        addInputs(owner.modelLayers[layers[position]].name, *hessians[position], x);
      });
      countBatch(batch);
    }
    // Before the first of them is decomposed, which can take long.
    for (size_t i = 0; i < layers.size(); ++i)
      checkReached(layers[i], *hessians[i]);
    for (size_t i = 0; i < layers.size(); ++i) {
      finish(layers[i], weightOf(layers[i]), &*hessians[i]);
      hessians[i].reset();
    }
  }

  void checkReached(size_t layer, const Hessian &hessian) const {
    TORCH_CHECK(hessian.rows() > 0, "layer '", owner.modelLayers[layer].name,
                "': the calibration data do not reach it; leave it out, or give data that do");
  }

  /// Layers in the order in which the model runs them, those that it does not run last.
  std::vector<size_t> orderOfRunning() {
    std::vector<size_t> all(owner.modelLayers.size()), order;
    std::iota(all.begin(), all.end(), 0);
    for (size_t batch = 0; batch < data.batches && order.size() < all.size(); ++batch)
      forward(batch, all, [&](size_t layer, const Tensor &) {
        if (std::find(order.begin(), order.end(), layer) == order.end())
          order.push_back(layer);
      });
    for (size_t layer : all)
      if (std::find(order.begin(), order.end(), layer) == order.end())
        order.push_back(layer);
    return order;
  }

  void withQep() {
    for (size_t layer : orderOfRunning()) {
      if (!isFinished(layer))
        adjusted(layer);
      const ModelLayer &known = owner.modelLayers[layer];
      replaced.add(known.weight, owner.results.at(known.name).dequantizedWeight());
    }
  }

  /// The inputs that the layer gets for a batch: of one call, or of several.
  std::vector<Tensor> inputs(size_t batch, size_t layer) {
    std::vector<Tensor> calls;
    forward(batch, {layer},
            [&](size_t, const Tensor &x) { calls.push_back(x.to(at::kCPU).reshape({-1, x.size(-1)}).clone()); });
    return calls;
  }

  void adjusted(size_t layer) {
    const std::string &name = owner.modelLayers[layer].name;
    Hessian hessian = emptyHessian(layer);
    const int64_t k = owner.modelLayers[layer].inputs();
    Tensor shift = at::zeros({k, k});
    for (size_t batch = 0; batch < data.batches; ++batch) {
      replaced.useFloat();
      std::vector<Tensor> before = inputs(batch, layer);
      replaced.useQuantized();
      std::vector<Tensor> now = inputs(batch, layer);
      TORCH_CHECK(before.size() == now.size(), "layer '", name, "': is called ", now.size(), " times, and ",
                  before.size(), " times by the float model; leave it out");
      for (size_t call = 0; call < now.size(); ++call) {
        addInputs(name, hessian, now[call]);
        if (now[call].size(0))
          shift += inputShift(before[call], now[call]) * static_cast<double>(now[call].size(0));
      }
      countBatch(batch);
    }
    replaced.useFloat();
    checkReached(layer, hessian);
    Tensor weight = weightOf(layer).detach().to(at::kCPU);
    try {
      weight = adjustWeight(weight, hessian.value(), shift / static_cast<double>(hessian.rows()), *options.qep);
    } catch (const c10::Error &error) {
      TORCH_CHECK(false, "layer '", name, "': ", error.what_without_backtrace());
    }
    finish(layer, weight, &hessian);
  }

  void finish(size_t layer, const Tensor &weight, const Hessian *hessian) {
    const ModelLayer &known = owner.modelLayers[layer];
    OneBitResult &result = owner.results[known.name] =
        owner.decompose(known, weight, hessian, nullptr, options.inputNoise);
    if (options.journal)
      options.journal->add(known.name, result);
    ++done;
    if (options.onLayer)
      options.onLayer(known.name, result, done + (options.journal ? options.journal->finished().size() : 0),
                      owner.modelLayers.size());
  }

  OneBit &owner;
  const CalibrationData &data;
  const OneBitRunOptions &options;
  ReplacedWeights replaced;
  size_t done = 0;
};

void OneBit::run(const CalibrationData &data, const OneBitRunOptions &runOptions) {
  TORCH_CHECK(!modelLayers.empty(), options.name(), ": call setup() before run()");
  at::NoGradGuard noGrad;
  Run(*this, data, runOptions).all();
}

OneBitMemory OneBit::memory(const OneBitRunOptions &runOptions) const {
  const bool isByLayer = runOptions.order == CalibrationOrder::LayerByLayer || runOptions.qep;
  const int64_t element = static_cast<int64_t>(c10::elementSize(options.hessian_dtype()));
  OneBitMemory memory;
  for (const ModelLayer &layer : modelLayers) {
    const int64_t k = layer.inputs(), square = k * k;
    const int64_t hessian = options.flag_calibration() ? square * element : 0;
    memory.statistics = isByLayer ? std::max(memory.statistics, hessian) : memory.statistics + hessian;
    // Of refinement: floats as large as the weight, and as the Hessian where there is one.
    constexpr int64_t weights = 10, squares = 4;
    memory.work = std::max(memory.work, 4 * (weights * layer.weight.numel() + (hessian ? squares * square : 0)));
  }
  return memory;
}
