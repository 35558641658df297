// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The description that a kernel is made from. Plain C++: no MLIR, no LibTorch.
#ifndef BQ_CODEGEN_KERNELSPEC_H
#define BQ_CODEGEN_KERNELSPEC_H

#include "dialect/core/Format.h"
#include "dialect/core/KernelAbi.h"
#include "dialect/core/Types.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace bq {

struct KernelSpec {
  enum class Op {
    Linear,     ///< y[m, n] = activation(sum over k of x[m, k] * W[n, k] + bias[n]), W prepacked
    Embedding,  ///< y[i, :] = W[indices[i], :], W canonical
    Quantize,   ///< float weight [n, k] to canonical codes, scales and zero points, row by row
    Dequantize, ///< canonical to float weight [n, k], row by row
  };

  Op op = Op::Linear;
  Format format;
  int64_t n = 0; ///< Rows of the weight. 0 where the kernel serves any number: all but Linear.
  int64_t k = 0; ///< Columns of the weight.
  /// Linear and Quantize: element type of the input. Linear's result has it too.
  ElementType dataType = ElementType::F32;
  /// Element type of the scales; Embedding's and Dequantize's result has it too.
  ElementType scaleType = ElementType::F32;
  ZeroPointType zeroType = ZeroPointType::None;

  // Linear only.
  Compute compute = Compute::F32;
  int rows = 0;         ///< The M this is made for, 1..maxExactRows; 0 = any M.
  bool hasBias = false; ///< f32 [n].
  Activation activation = Activation::None;
  bool permuted = false; ///< Columns of x are gathered by a permutation (GPTQ's activation order).

  /// Each M up to this has a kernel of its own.
  static constexpr int maxExactRows = abi::maxExactRows;
  /// The `rows` to ask for, for an x with m rows.
  static int rowsFor(int64_t m) { return m <= maxExactRows ? static_cast<int>(m) : 0; }

  /// The canonical text: one line, every field, equal for equal specs; a part of the kernel's key.
  std::string str() const;
  /// The inverse of str(). Errors name the field, the value and what is accepted.
  static Expected<KernelSpec> parse(std::string_view text);
  /// Whether the fields fit each other; errors name field, value and rule.
  Status verify() const;
  /// Readable name, also the symbol of the kernel; different for different specs that verify:
  ///   bq_<data>_<weight>_linear_<compute>[_permuted][_bias][_<activation>]__n<N>k<K>m<rows>
  ///   bq_<data>_<weight>_quantize__k<K>, bq_<weight>_embedding__k<K>, bq_<weight>_dequantize__k<K>
  /// where <weight> is format, type of the scales and of the zero points, such as uint4g128sf16zu8.
  std::string name() const;

  friend bool operator==(const KernelSpec &l, const KernelSpec &r) { return l.str() == r.str(); }
};

} // namespace bq

#endif // BQ_CODEGEN_KERNELSPEC_H
