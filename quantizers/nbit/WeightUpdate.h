// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The step of an optimizer on a quantized parameter, with moments of any type.
#ifndef BQ_QUANTIZERS_NBIT_WEIGHTUPDATE_H
#define BQ_QUANTIZERS_NBIT_WEIGHTUPDATE_H

#include "quantizers/Update.h"
#include "quantizers/nbit/Parameters.h"

#include <string>

namespace bq::nn {

/// Whether a tensor holds neither NaN nor infinity; true for integers. Reads it once where that is so.
bool isFinite(const at::Tensor &tensor);

/// The rule of a step on this parameter.
UpdateRule updateRule(ParameterKind kind);

/// Step `step` (from 1) on `parameter` as qweightUpdateFn() says. `gradient` is of gradShape(), or what the projector
/// made of it, where there is one; `options.rule` is not read, and `dtype` only where upstreamCompatible. `name` is the
/// parameter's in messages. Throws before anything is changed.
void stepParameter(const QuantizedParameter &parameter, const at::Tensor &gradient, const Moments &moments,
                   int64_t step, const UpdateOptions &options, at::ScalarType dtype,
                   const optim::GaLoreProjector *projector, const std::string &name);

/// The same for a float weight, by the rule adam.
void stepFloat(const at::Tensor &weight, const at::Tensor &gradient, const Moments &moments, int64_t step,
               const UpdateOptions &options, const optim::GaLoreProjector *projector, const std::string &name);

} // namespace bq::nn

#endif // BQ_QUANTIZERS_NBIT_WEIGHTUPDATE_H
