// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/distill/Losses.h"

using namespace bq::cli;

using at::Tensor;

Tensor bq::cli::resultRows(const c10::IValue &result) {
  if (result.isTuple() && !result.toTupleRef().elements().empty())
    return resultRows(result.toTupleRef().elements()[0]);
  if (result.isList() && !result.toListRef().empty())
    return resultRows(result.toListRef()[0]);
  if (result.isGenericDict() && !result.toGenericDict().empty())
    return resultRows(result.toGenericDict().begin()->value());
  TORCH_CHECK(result.isTensor() && result.toTensor().is_floating_point(), "the result is of type ", result.tagKind(),
              ", expected a tensor of floats or a collection that begins with one");
  const Tensor tensor = result.toTensor();
  return tensor.dim() < 2 ? tensor.reshape({1, -1}) : tensor.reshape({-1, tensor.size(-1)});
}

Tensor bq::cli::relativeError(const Tensor &student, const Tensor &teacher) {
  // Where the teacher says nothing, any difference counts as it is.
  const Tensor square = teacher.square().mean();
  return (student - teacher).square().mean() / at::where(square > 0, square, 1);
}

Tensor bq::cli::resultLoss(const std::string &kind, const Tensor &student, const Tensor &teacher) {
  TORCH_CHECK(student.sizes() == teacher.sizes(), "the results of the models are ", student.sizes(), " and ",
              teacher.sizes());
  if (kind == "cosine")
    return (1 - at::cosine_similarity(student, teacher, 1)).mean();
  if (kind == "mse")
    return relativeError(student, teacher);
  const Tensor logOfTeacher = teacher.log_softmax(1);
  return (logOfTeacher.exp() * (logOfTeacher - student.log_softmax(1))).sum(1).mean();
}

Tensor bq::cli::hiddenLoss(const std::vector<LayerOutput> &student, const std::vector<LayerOutput> &teacher) {
  TORCH_CHECK(!student.empty() && student.size() == teacher.size(), "the layers are called ", student.size(),
              " times by the student and ", teacher.size(), " times by the teacher");
  Tensor sum;
  for (size_t i = 0; i < student.size(); ++i) {
    TORCH_CHECK(student[i].layer == teacher[i].layer && student[i].value.sizes() == teacher[i].value.sizes(), "call ",
                i + 1, " of a layer is another one in the student");
    const Tensor error = relativeError(student[i].value, teacher[i].value);
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(student.size());
}
