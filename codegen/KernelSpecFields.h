// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The fields of a KernelSpec, and which ops have them; for the files that implement it.
#ifndef BQ_CODEGEN_KERNELSPECFIELDS_H
#define BQ_CODEGEN_KERNELSPECFIELDS_H

#include "codegen/KernelSpec.h"

#include <iterator>
#include <vector>

namespace bq::spec {

using Op = KernelSpec::Op;

/// Names of the ops in the canonical text, in the order of the enumeration.
inline constexpr std::string_view ops[] = {
    "linear",         "embedding",    "quantize",         "dequantize",    "prepack",
    "update",         "update_dense", "conv2d",           "fake_quantize", "fake_quantize_grad",
    "magnitude_sums", "diffq_noise",  "diffq_noise_grad", "weight_range",  "linear_input_gradient"};

/// A set of ops: bit i is the op of value i.
using Ops = unsigned;
constexpr Ops only(Op op) { return 1u << static_cast<int>(op); }
inline constexpr Ops linear = only(Op::Linear), conv2d = only(Op::Conv2d), products = linear | conv2d;
inline constexpr Ops inputGradient = only(Op::LinearInputGradient), allProducts = products | inputGradient;
inline constexpr Ops packedUpdate = only(Op::Update), denseUpdate = only(Op::UpdateDense);
inline constexpr Ops updates = packedUpdate | denseUpdate;
inline constexpr Ops allOps = (1u << std::size(ops)) - 1;
inline constexpr Ops magnitudeSums = only(Op::MagnitudeSums);
inline constexpr Ops fakeQuantize = only(Op::FakeQuantize) | only(Op::FakeQuantizeGrad);
inline constexpr Ops noises = only(Op::DiffqNoise) | only(Op::DiffqNoiseGrad), weightRange = only(Op::WeightRange);
/// Those with a quantized weight.
inline constexpr Ops weightOps = allOps & ~(denseUpdate | fakeQuantize | magnitudeSums | noises | weightRange);

inline std::string opName(Op op) { return std::string(ops[static_cast<int>(op)]); }
/// The ops of a set, such as "linear, quantize and update".
std::string opNames(Ops set);

/// One field of the canonical text.
struct Field {
  std::string_view name;
  Ops ops; ///< Those that have it. In other specs it has the value of an empty one.
  std::string (*print)(const KernelSpec &);
  /// Errors name the field, the value and what is accepted.
  Status (*parse)(KernelSpec &, std::string_view text, std::string_view name);

  bool belongsTo(Op op) const { return ops & only(op); }
};

/// All fields, in the order of the text.
const std::vector<Field> &fields();

/// An error that names field, value and rule.
Error badField(std::string_view field, std::string_view value, const std::string &rule);

} // namespace bq::spec

#endif // BQ_CODEGEN_KERNELSPECFIELDS_H
