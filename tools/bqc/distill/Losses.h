// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// How far a student is from its teacher.
#ifndef BQ_TOOLS_BQC_DISTILL_LOSSES_H
#define BQ_TOOLS_BQC_DISTILL_LOSSES_H

#include "tools/bqc/distill/LayerOutputs.h"

#include <ATen/ATen.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace bq::cli {

/// The first tensor of a model's result, which may be in a tuple, list or dictionary, as rows [R, features], with its
/// gradient function. Throws c10::Error where there is none of floats.
at::Tensor resultRows(const c10::IValue &result);

/// Mean over rows of 1 - cosine (`cosine`), of the squared difference as a part of the teacher's mean square (`mse`),
/// or of the Kullback-Leibler divergence of the student's softmax from the teacher's (`kl`); 0-d.
at::Tensor resultLoss(const std::string &kind, const at::Tensor &student, const at::Tensor &teacher);

/// Mean over calls of relativeError(); 0-d. Throws c10::Error where the calls are not the same ones.
at::Tensor hiddenLoss(const std::vector<LayerOutput> &student, const std::vector<LayerOutput> &teacher);

/// Mean square of the difference as a part of the teacher's mean square; 0-d.
at::Tensor relativeError(const at::Tensor &student, const at::Tensor &teacher);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_DISTILL_LOSSES_H
