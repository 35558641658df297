// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// torch.classes.bq.PackedWeight: a quantized weight that a TorchScript model holds.
#ifndef BQ_QUANTIZERS_PACKEDWEIGHT_H
#define BQ_QUANTIZERS_PACKEDWEIGHT_H

#include "dialect/core/Format.h"
#include "dialect/core/Types.h"
#include "quantizers/Export.h"

#include <ATen/ATen.h>
#include <torch/custom_class.h>

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace bq {

class PrepackedWeight;
class WeightStamp;
struct GroupedWeight;
struct TransposedWeight;
struct WeightLayout;
struct WeightTensors;

/// Always held by an intrusive_ptr. Holds the canonical tensors (shared with the caller, not copied) and saves exactly
/// those. Codes of a mixed weight, which kernels read where they are, are copied where the caller's memory ends with
/// them (quantizeMixed() and packMixed() leave 64 bytes). It follows its input's device: the first linear() on a device
/// prepacks the weight there and keeps that form beside them, and where a device needs canonical tensors that lie
/// elsewhere, a copy; all are made anew after an in-place change of a tensor. Inference tensors count no changes: where
/// one of the tensors is such, the forms made first stay, and linear() goes on with the old values. Usable from any
/// thread.
class BQ_TORCH_API PackedWeight : public torch::CustomClassHolder {
public:
  /// What is pickled: version of this tuple (1), format, shape, codes, scales, zeros, group index.
  using State = std::tuple<int64_t, std::string, std::vector<int64_t>, at::Tensor, at::Tensor,
                           std::optional<at::Tensor>, std::optional<at::Tensor>>;

  /// Throws c10::Error where tensors, format and shape ([N, K], or [O, I / groups, kh, kw] of a convolution) do not fit
  /// each other.
  PackedWeight(at::Tensor codes, at::Tensor scales, std::optional<at::Tensor> zeros, const Format &format,
               std::vector<int64_t> shape, std::optional<at::Tensor> groupIndex = std::nullopt);
  ~PackedWeight() override;

  /// Quantizes a weight [N, K] or [O, I / groups, kh, kw]; scales get its type. The work is done on `device`, or where
  /// the weight is; the tensors are where the weight is.
  static c10::intrusive_ptr<PackedWeight> quantize(const at::Tensor &weight, const Format &format,
                                                   std::optional<at::Device> device = std::nullopt);
  static c10::intrusive_ptr<PackedWeight> fromState(State state);
  State state() const;

  /// activation(x W^T + bias), differentiable with respect to x and bias; in the type of x.
  at::Tensor linear(const at::Tensor &x, const std::optional<at::Tensor> &bias, Compute compute = Compute::F32,
                    Activation activation = Activation::None) const;
  /// activation(convolution of x [B, C, H, W] + bias), differentiable with respect to x and bias; in the type and the
  /// memory format of x. Lists have one or two numbers.
  at::Tensor conv2d(const at::Tensor &x, const std::optional<at::Tensor> &bias, at::IntArrayRef stride = 1,
                    at::IntArrayRef padding = 0, at::IntArrayRef dilation = 1, int64_t groups = 1,
                    Compute compute = Compute::F32, Activation activation = Activation::None) const;
  /// W[indices[i], :], in the type of the scales.
  at::Tensor embedding(const at::Tensor &indices) const;
  /// W, in the type of the scales, or in `type`, computed in float then; on `device`, or where the tensors are.
  at::Tensor dequantize(std::optional<at::ScalarType> type = std::nullopt,
                        std::optional<at::Device> device = std::nullopt) const;

  const Format &format() const { return weightFormat; }
  const std::vector<int64_t> &shape() const { return weightShape; }
  /// Rows and columns of the matrix that the weight is.
  int64_t n() const { return weightShape[0]; }
  int64_t k() const;
  const at::Tensor &codes() const { return codesTensor; }
  const at::Tensor &scales() const { return scalesTensor; }
  const std::optional<at::Tensor> &zeros() const { return zerosTensor; }
  const std::optional<at::Tensor> &groupIndex() const { return groupIndexTensor; }
  /// Bytes of the canonical tensors: what a saved model holds.
  int64_t bytes() const;
  /// Bytes in memory now: the canonical tensors, and what has been made of them for each device.
  int64_t residentBytes() const;
  /// The form that linear() uses on a device; makes it where needed.
  std::shared_ptr<const PrepackedWeight> prepacked(at::Device device) const;
  /// The forms that conv2d() uses on a device, and on the CPU gradients with respect to its, or linear()'s, input.
  std::shared_ptr<const GroupedWeight> grouped(const WeightLayout &layout, at::Device device = at::kCPU) const;
  std::shared_ptr<const TransposedWeight> transposed(const WeightLayout &layout) const;
  /// The canonical tensors on a device: these, or a copy that is kept.
  WeightTensors canonical(at::Device device) const;

private:
  /// What has been made of the tensors for one device.
  struct Form {
    at::Device device;
    std::unique_ptr<WeightStamp> stamp; ///< Of what it was made from; none for inference tensors.
    std::shared_ptr<const PrepackedWeight> prepacked;
    std::shared_ptr<const WeightTensors> canonical;
    std::shared_ptr<const GroupedWeight> grouped;
    std::shared_ptr<const TransposedWeight> transposed;
  };
  template <typename T, typename Make>
  std::shared_ptr<const T> form(at::Device device, std::shared_ptr<const T> Form::*member, Make make) const;

  Format weightFormat;
  std::vector<int64_t> weightShape;
  at::Tensor codesTensor, scalesTensor;
  std::optional<at::Tensor> zerosTensor, groupIndexTensor;

  mutable std::vector<Form> forms; ///< Guarded by the runtime's forkSafeMutex(). One for a device.
};

} // namespace bq

#endif // BQ_QUANTIZERS_PACKEDWEIGHT_H
