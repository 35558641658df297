// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Prepacked forms of canonical tensors that operators have seen before.
#ifndef BQ_QUANTIZERS_WEIGHTMEMO_H
#define BQ_QUANTIZERS_WEIGHTMEMO_H

#include "quantizers/Tensors.h"
#include "quantizers/WeightForms.h"

#include <memory>
#include <optional>

namespace bq {

/// Identifies what the tensors of a weight hold now, without keeping them alive: for each the tensor, its storage,
/// place and version. In-place operations, new data and freed tensors are all noticed. What writes to the memory behind
/// LibTorch's back, such as `tensor.data.copy_()`, is not.
class WeightStamp {
public:
  /// None where one of the tensors keeps no version (inference tensors).
  static std::optional<WeightStamp> of(const WeightTensors &weight, const Format &format, int64_t k);

  bool matches(const WeightTensors &weight, const Format &format, int64_t k) const;
  /// One of the tensors is gone: nothing can match any more.
  bool expired() const;

private:
  struct Entry {
    c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> tensor;
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;
    const void *data;
    int64_t version;
    at::DimVector sizes, strides;
  };
  std::vector<Entry> entries;
  Format format;
  int64_t k = 0;
};

/// What has been made of the tensors of one weight for one device; any of it may be missing.
struct WeightFormSet {
  std::shared_ptr<const PrepackedWeight> prepacked;
  std::shared_ptr<const GroupedWeight> grouped;
  std::shared_ptr<const TransposedWeight> transposed;
};

/// The weight prepacked for the device where it is. At most 1024 weights are remembered, the least recently used are
/// forgotten first; where a tensor keeps no version, nothing is. Each call looks at 8 of them in turn and frees those
/// whose tensors are gone, so that a freed weight's prepacked form goes within 150 calls, whatever their weights; it
/// stays while there are none. From any thread; `weight` must have passed checkWeight() and be neither without rows nor
/// without columns.
std::shared_ptr<const PrepackedWeight> prepackRemembered(const char *op, const WeightTensors &weight,
                                                         const Format &format, int64_t k);
/// Its forms for a convolution, and for a gradient with respect to an input, kept in the same way. A weight that is
/// taken for another layout than before is made anew at each call.
std::shared_ptr<const GroupedWeight> groupedRemembered(const char *op, const WeightTensors &weight,
                                                       const Format &format, int64_t k, const WeightLayout &layout);
std::shared_ptr<const TransposedWeight> transposedRemembered(const char *op, const WeightTensors &weight,
                                                             const Format &format, int64_t k,
                                                             const WeightLayout &layout);
/// The weight prepacked, each time anew, for any device.
std::shared_ptr<const PrepackedWeight> prepack(const char *op, const WeightTensors &weight, const Format &format,
                                               int64_t k, at::Device device);

} // namespace bq

#endif // BQ_QUANTIZERS_WEIGHTMEMO_H
