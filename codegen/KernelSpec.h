// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The description that a kernel is made from. Plain C++: no MLIR, no LibTorch.
#ifndef BQ_CODEGEN_KERNELSPEC_H
#define BQ_CODEGEN_KERNELSPEC_H

#include "dialect/core/CudaAbi.h"
#include "dialect/core/Format.h"
#include "dialect/core/KernelAbi.h"
#include "dialect/core/Noise.h"
#include "dialect/core/Types.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace bq {

struct KernelSpec {
  enum class Op {
    Linear,           ///< y[m, n] = activation(sum over k of x[m, k] * W[n, k] + bias[n]), W prepacked
    Embedding,        ///< y[i, :] = W[indices[i], :], W canonical
    Quantize,         ///< float weight [n, k] to canonical codes, scales and zero points, row by row
    Dequantize,       ///< canonical to float weight [n, k], row by row
    Prepack,          ///< canonical weight [n, k] to what Linear reads, 16 rows by 16 rows; for GPUs
    Update,           ///< one optimizer step on a canonical weight [n, k], row by row
    UpdateDense,      ///< one optimizer step on a float weight of any number of elements
    Conv2d,           ///< as Linear, the rows of x being patches of images (abi::Conv2dGeometry)
    FakeQuantize,     ///< a tensor rounded to the values of a format, of any shape, rows with scales of their own
    FakeQuantizeGrad, ///< the gradients of that
    MagnitudeSums,    ///< sums of the magnitudes of a float weight [n, k], of its rows and of its columns
    DiffqNoise,       ///< a float weight of any number of elements with noise
    DiffqNoiseGrad,   ///< the gradients of that
    WeightRange,      ///< least and greatest element of a float weight of any number of elements
    /// y[m, k] = sum over n of x[m, n] * W[n, k], W prepacked as for Linear; for GPUs
    LinearInputGradient,
  };

  /// Which fields an op has is said by the table in KernelSpec.cpp. Those it has not keep the values they have here.
  Op op = Op::Linear;
  Format format;
  int64_t n = 0; ///< Rows of the weight.
  int64_t k = 0; ///< Columns of the weight.
  /// Element type of the input: of activations (Linear's result has it too), of the weight to quantize, of a gradient.
  ElementType dataType = ElementType::F32;
  /// Element type of the scales; Embedding's and Dequantize's result has it too.
  ElementType scaleType = ElementType::F32;
  ZeroPointType zeroType = ZeroPointType::None;

  // What linear layers and convolutions have; their gradients the first two, and `permuted`.
  Compute compute = Compute::F32;
  int rows = 0;         ///< The M this is made for, at most, 1..maxExactRows; 0 = any M, as Conv2d has.
  bool hasBias = false; ///< f32 [n].
  Activation activation = Activation::None;
  bool columnFactors = false;                ///< Columns of x are multiplied by f32 factors [k].
  int activationBits = 0;                    ///< 1..8: x is quantized with one scale; 0 = as `compute` takes it.
  int64_t kernelHeight = 0, kernelWidth = 0; ///< Conv2d: taps of a patch; k is a multiple of both together.
  int64_t groups = 1;    ///< Conv2d: of all of which this is the product (DirectConv2d.h); 1 where groups are apart.
  bool permuted = false; ///< Columns are gathered by a permutation (GPTQ's activation order): Linear's of x.

  // What optimizer steps have.
  ElementType weightType = ElementType::F32; ///< Element type of a float weight.
  UpdateRule rule = UpdateRule::Adam;
  MomentType moments = MomentType::None;
  bool biasCorrection = false; ///< The step's size carries both corrections of the moments.
  Rounding rounding = Rounding::Nearest;
  ScaleUpdate scaling = ScaleUpdate::Keep;

  // What sums of magnitudes have.
  bool square = false; ///< Magnitudes are squares, not absolute values.
  bool divide = false; ///< A row's factor is divided by its sum, not multiplied.

  // What noise has.
  NoiseKind noise = NoiseKind::Gaussian;
  int64_t groupSize = 0; ///< Elements that share a number of bits; 0 = all.
  int rounds = 7;        ///< Of Philox: 7 or 10.

  /// The greatest `rows` that any target asks for; kernelRows() says which each asks for.
  static constexpr int maxExactRows = std::max(abi::maxExactRows, cuda::maxExactRows);

  /// The canonical text: one line, every field of the op, equal for equal specs; a part of the kernel's key.
  std::string str() const;
  /// The inverse of str(). Errors name the field, the value and what is accepted.
  static Expected<KernelSpec> parse(std::string_view text);
  /// Whether the fields fit each other; errors name field, value and rule.
  Status verify() const;
  /// Readable name, also the symbol of the kernel; different for different specs that verify:
  ///   bq_<data>_<weight>_linear_<compute>[_a<bits>][_permuted][_factors][_bias][_<activation>]__n<N>k<K>m<rows>
  ///   bq_<data>_<weight>_conv2d_<height>x<width>[_groups<G>]_<compute>[_...]__n<N>k<K>, the rest as for linear
  ///   bq_<data>_<weight>_linear_input_gradient_<compute>[_permuted]__n<N>k<K>m<rows>
  ///   bq_<data>_<weight>_quantize__k<K>, bq_<weight>_embedding__k<K>, bq_<weight>_dequantize__k<K>
  ///   bq_<weight>_prepack[_permuted]__k<K>
  ///   bq_<data>_<weight>_update_<rule>[_<moments>][_corrected]_<rounding>_<scaling>__k<K>
  ///   bq_<data>_<weight type>_update_dense_<rule>[_<moments>][_corrected]
  ///   bq_<data>_<format>[_zero]_fake_quantize, bq_<data>_<format>[_zero]_fake_quantize_grad
  ///   bq_<data>_diffq_noise[_grad]_<noise>[_g<G>]_philox<rounds>, bq_<data>_weight_range
  /// where <weight> is format, type of the scales and of the zero points, such as uint4g128sf16zu8.
  std::string name() const;

  friend bool operator==(const KernelSpec &l, const KernelSpec &r) { return l.str() == r.str(); }
};

} // namespace bq

#endif // BQ_CODEGEN_KERNELSPEC_H
