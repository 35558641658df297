// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The quantized parameters, as bitorch-engine has them, that cases of updates and of optimizers describe.
#ifndef BQ_TOOLS_BQ_GOLDEN_OPS_PARAMETERCASE_H
#define BQ_TOOLS_BQ_GOLDEN_OPS_PARAMETERCASE_H

#include "quantizers/nbit/Parameters.h"
#include "tools/bq-golden/Case.h"

#include <vector>

namespace bq::golden {

/// The input qweight, int8 of the shape of the weight. Its kind is the parameter "parameter", such as
/// nBitConvParameter; else `linear`, or `conv` for four dimensions.
nn::QuantizedParameter integerParameter(const Case &given, nn::ParameterKind linear, nn::ParameterKind conv);

/// An MPQWeightParameter of what gptqWeight() says.
nn::QuantizedParameter mpqParameter(const Case &given);

/// What a case wants to know of a parameter after each step.
class ParameterTrace {
public:
  explicit ParameterTrace(const nn::QuantizedParameter &parameter);
  /// Behind a step.
  void record();
  /// qweights, [steps, ...]; zeros of an MPQWeightParameter; the value flips_per_step, integers that a step changed.
  void addTo(Results &results) const;

private:
  const nn::QuantizedParameter parameter;
  at::Tensor before;
  std::vector<at::Tensor> weights, zeros;
  std::vector<int64_t> flips;
};

} // namespace bq::golden

#endif // BQ_TOOLS_BQ_GOLDEN_OPS_PARAMETERCASE_H
