// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/DiffqNoise.h"

#include "quantizers/ReusedMemory.h"
#include "quantizers/Tensors.h"
#include "quantizers/cuda/GpuNoise.h"
#include "runtime/DiffqNoiseArgs.h"

#include <torch/csrc/autograd/custom_function.h>

using namespace bq;

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr const char *noiseName = "bq::diffqNoise";

/// What the noise is made from. The arguments have passed checkDiffqNoise(), `bits` is contiguous.
NoiseArgs noiseArgs(const Tensor &weight, const Tensor &bits, int64_t groupSize, NoiseKind kind, uint64_t seed,
                    uint64_t offset, int64_t rounds) {
  TORCH_CHECK(weight.is_cpu() || weight.is_cuda(), noiseName, ": 'weight' is on ", weight.device(),
              ": noise is made on CPUs and CUDA devices");
  NoiseArgs args;
  args.dataType = elementType(noiseName, "weight", weight.scalar_type());
  args.count = weight.numel();
  args.groupSize = groupSize;
  args.bits = bits.const_data_ptr<float>();
  args.noise = kind;
  args.rounds = static_cast<int>(rounds);
  args.seed = seed;
  args.offset = offset;
  return args;
}

WeightRange rangeOf(const char *op, const Tensor &weight) {
  if (weight.is_cuda())
    return gpu::weightRange(op, gpu::currentPlace(op, weight.device()), weight);
  WeightRange range;
  WeightRangeArgs args;
  args.dataType = elementType(op, "weight", weight.scalar_type());
  args.count = weight.numel();
  args.weight = weight.const_data_ptr();
  args.low = &range.low, args.high = &range.high;
  args.lowAt = &range.lowAt, args.highAt = &range.highAt;
  check(op, backend(op).weightRange(args, parallelFor));
  return range;
}

void makeNoise(const DiffqNoiseArgs &args, at::Device device) {
  if (device.is_cuda())
    gpu::diffqNoise(noiseName, gpu::currentPlace(noiseName, device), args);
  else
    check(noiseName, backend(noiseName).diffqNoise(args, parallelFor));
}

/// Writes the gradient of the bits, `bits`; returns that of the scale, double [].
Tensor makeGradients(DiffqNoiseGradArgs args, const Tensor &bits) {
  if (bits.is_cuda())
    return gpu::diffqNoiseGrad(noiseName, gpu::currentPlace(noiseName, bits.device()), args, bits);
  double scaleGradient = 0;
  args.bitsGradient = bits.mutable_data_ptr<float>();
  args.scaleGradient = &scaleGradient;
  check(noiseName, backend(noiseName).diffqNoiseGrad(args, parallelFor));
  return at::scalar_tensor(scaleGradient, at::kDouble);
}

/// Whether nobody else reads the tensor, so that it may become a result.
bool isOurs(const Tensor &tensor) {
  return tensor.use_count() == 1 && tensor.storage().use_count() == 1 && tensor.is_contiguous() &&
         !tensor.requires_grad() && !at::GradMode::is_enabled();
}

struct Noisy {
  Tensor weight;
  WeightRange range; ///< Of the weight before.
};

/// As noiseArgs(); there are elements.
Noisy makeNoisy(const Tensor &weight, const Tensor &bits, int64_t groupSize, NoiseKind kind, uint64_t seed,
                uint64_t offset, int64_t rounds) {
  DiffqNoiseArgs args;
  static_cast<NoiseArgs &>(args) = noiseArgs(weight, bits, groupSize, kind, seed, offset, rounds);
  const WeightRange ofBits = rangeOf("bq::diffqNoise: 'bits'", bits);
  TORCH_CHECK(ofBits.low > 0, noiseName, ": 'bits' are from ", ofBits.low, " to ", ofBits.high,
              ": each must be above 0");
  Noisy made{emptyReused(weight), rangeOf(noiseName, weight)};
  args.scale = made.range.high - made.range.low;
  args.weight = weight.const_data_ptr();
  args.noisy = made.weight.mutable_data_ptr();
  makeNoise(args, weight.device());
  return made;
}

/// Adds what the gradient of max - min is to the elements that these are.
void addRangeGradient(const Tensor &weightGradient, const Tensor &scaleGradient, int64_t lowAt, int64_t highAt) {
  const Tensor flat = weightGradient.view(-1);
  flat[highAt] += scaleGradient;
  flat[lowAt] -= scaleGradient;
}

struct NoiseFunction : torch::autograd::Function<NoiseFunction> {
  static Tensor forward(AutogradContext *context, const Tensor &weight, const Tensor &givenBits, int64_t groupSize,
                        int64_t kind, int64_t seed, int64_t offset, int64_t rounds) {
    at::AutoDispatchBelowADInplaceOrView guard;
    checkDiffqNoise(weight, givenBits, groupSize, rounds);
    if (!weight.numel())
      return weight.clone();
    const Tensor bits = givenBits.contiguous();
    const Noisy made = makeNoisy(weight, bits, groupSize, static_cast<NoiseKind>(kind), static_cast<uint64_t>(seed),
                                 static_cast<uint64_t>(offset), rounds);
    context->save_for_backward({bits});
    context->saved_data["settings"] =
        std::vector<int64_t>{groupSize, kind, seed, offset, rounds, made.range.lowAt, made.range.highAt};
    context->saved_data["scale"] = static_cast<double>(made.range.high - made.range.low);
    return made.weight;
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const Tensor bits = context->get_saved_variables().at(0);
    const std::vector<int64_t> settings = context->saved_data["settings"].toIntVector();
    const bool ours = isOurs(gradients[0]);
    const Tensor outer = gradients[0].contiguous();
    DiffqNoiseGradArgs args;
    static_cast<NoiseArgs &>(args) =
        noiseArgs(outer, bits, settings[0], static_cast<NoiseKind>(settings[1]), static_cast<uint64_t>(settings[2]),
                  static_cast<uint64_t>(settings[3]), settings[4]);
    args.scale = static_cast<float>(context->saved_data["scale"].toDouble());
    args.gradient = outer.const_data_ptr();
    const Tensor bitsGradient = at::empty_like(bits), scaleGradient = makeGradients(args, bitsGradient);
    Tensor weightGradient;
    if (context->needs_input_grad(0)) {
      weightGradient = ours ? outer : emptyReused(outer).copy_(outer);
      addRangeGradient(weightGradient, scaleGradient, settings[5], settings[6]);
    }
    return {weightGradient, bitsGradient, {}, {}, {}, {}, {}};
  }
};

} // namespace

void bq::checkDiffqNoise(const Tensor &weight, const Tensor &bits, int64_t groupSize, int64_t rounds) {
  elementType(noiseName, "weight", weight.scalar_type());
  TORCH_CHECK(weight.is_contiguous(), noiseName, ": 'weight' ", weight.sym_sizes(),
              " is not contiguous, so that its groups are not: use weight.contiguous()");
  checkDevice(noiseName, "bits", bits, weight.device());
  TORCH_CHECK(groupSize >= 0, noiseName, ": 'group_size' is ", groupSize, ": use 1 or more, or 0 for one group");
  const c10::SymInt count = weight.sym_numel();
  const c10::SymInt size = groupSize ? c10::SymInt(groupSize) : count;
  const c10::SymInt groups = count == 0 ? c10::SymInt(0) : (count + size - 1) / size;
  TORCH_CHECK(bits.scalar_type() == at::kFloat && bits.sym_numel() == groups, noiseName, ": expected 'bits' of ",
              groups, " floats, one for each group of ", size, " of ", count, " elements, got ", bits.scalar_type(),
              " ", bits.sym_sizes());
  TORCH_CHECK(rounds == 7 || rounds == 10, noiseName, ": 'rounds' is ", rounds, ": use 7 or 10");
}

void bq::checkDiffqNoiseBackward(const Tensor &gradient, const Tensor &weight, const Tensor &bits, int64_t groupSize,
                                 int64_t rounds) {
  checkDiffqNoise(weight, bits, groupSize, rounds);
  checkDevice(noiseName, "gradient", gradient, weight.device());
  TORCH_CHECK(gradient.sym_sizes() == weight.sym_sizes() && gradient.scalar_type() == weight.scalar_type(), noiseName,
              ": expected 'gradient' ", weight.sym_sizes(), " of ", weight.scalar_type(), " as the weight is, got ",
              gradient.sym_sizes(), " of ", gradient.scalar_type());
}

Tensor bq::diffqNoiseForward(const Tensor &weight, const Tensor &bits, int64_t groupSize, NoiseKind kind, uint64_t seed,
                             uint64_t offset, int64_t rounds) {
  checkDiffqNoise(weight, bits, groupSize, rounds);
  return weight.numel() ? makeNoisy(weight, bits.contiguous(), groupSize, kind, seed, offset, rounds).weight
                        : weight.clone();
}

std::tuple<Tensor, Tensor> bq::diffqNoiseBackward(const Tensor &gradient, const Tensor &weight, const Tensor &bits,
                                                  int64_t groupSize, NoiseKind kind, uint64_t seed, uint64_t offset,
                                                  int64_t rounds) {
  checkDiffqNoiseBackward(gradient, weight, bits, groupSize, rounds);
  const Tensor outer = gradient.contiguous(), bitsHere = bits.contiguous();
  Tensor weightGradient = outer.clone(), bitsGradient = at::empty_like(bitsHere);
  if (!weight.numel())
    return {weightGradient, bitsGradient};
  DiffqNoiseGradArgs args;
  static_cast<NoiseArgs &>(args) = noiseArgs(outer, bitsHere, groupSize, kind, seed, offset, rounds);
  const WeightRange range = rangeOf(noiseName, weight);
  args.scale = range.high - range.low;
  args.gradient = outer.const_data_ptr();
  addRangeGradient(weightGradient, makeGradients(args, bitsGradient), range.lowAt, range.highAt);
  return {weightGradient, bitsGradient};
}

WeightRange bq::weightRange(const Tensor &weight) { return rangeOf("bq::weightRange", weight.contiguous()); }

Tensor bq::diffqNoise(const Tensor &weight, const Tensor &bits, int64_t groupSize, NoiseKind kind, uint64_t seed,
                      uint64_t offset, int64_t rounds) {
  return NoiseFunction::apply(weight, bits, groupSize, static_cast<int64_t>(kind), static_cast<int64_t>(seed),
                              static_cast<int64_t>(offset), rounds);
}
