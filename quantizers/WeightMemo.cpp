// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/WeightMemo.h"

#include "quantizers/cuda/GpuWeight.h"
#include "runtime/Fork.h"

#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

using namespace bq;

std::optional<WeightStamp> WeightStamp::of(const WeightTensors &weight, const Format &format, int64_t k) {
  WeightStamp stamp;
  stamp.format = format;
  stamp.k = k;
  for (const at::Tensor &tensor : weight.all()) {
    if (tensor.is_inference())
      return std::nullopt;
    stamp.entries.push_back({decltype(Entry::tensor)(tensor.getIntrusivePtr()), tensor.storage().getWeakStorageImpl(),
                             tensor.const_data_ptr(), tensor._version(), at::DimVector(tensor.sizes()),
                             at::DimVector(tensor.strides())});
  }
  return stamp;
}

bool WeightStamp::matches(const WeightTensors &weight, const Format &otherFormat, int64_t otherK) const {
  std::vector<at::Tensor> tensors = weight.all();
  if (format != otherFormat || k != otherK || tensors.size() != entries.size())
    return false;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Entry &entry = entries[i];
    const at::Tensor &tensor = tensors[i];
    // A weak reference keeps the address from being given to another tensor or storage.
    if (entry.tensor._unsafe_get_target() != tensor.unsafeGetTensorImpl() || tensor.is_inference() ||
        entry.storage._unsafe_get_target() != tensor.storage().unsafeGetStorageImpl() ||
        entry.data != tensor.const_data_ptr() || entry.version != tensor._version() ||
        at::IntArrayRef(entry.sizes) != tensor.sizes() || at::IntArrayRef(entry.strides) != tensor.strides())
      return false;
  }
  return true;
}

bool WeightStamp::expired() const {
  for (const Entry &entry : entries)
    if (entry.tensor.expired() || entry.storage.expired())
      return true;
  return false;
}

std::shared_ptr<const PrepackedWeight> bq::prepack(const char *op, const WeightTensors &weight, const Format &format,
                                                   int64_t k, at::Device device) {
  if (device.is_cuda())
    return gpu::prepack(op, gpu::currentPlace(op, device), weight, format, k);
  BorrowedWeight borrowed = borrow(weight.to(device), format, k);
  return take(op, backend(op).prepack(borrowed.view, parallelFor));
}

namespace {

constexpr size_t maxEntries = 1024;
constexpr size_t purgedAtOnce = 8;

/// Most recently used first; found by the codes' tensor. Guarded by forkSafeMutex().
struct Memo {
  struct Entry {
    const c10::TensorImpl *codes;
    WeightStamp stamp;
    WeightFormSet forms;
  };
  std::list<Entry> entries;
  std::unordered_map<const c10::TensorImpl *, std::list<Entry>::iterator> index;
  std::list<Entry>::iterator nextToPurge = entries.end();

  /// Where the purge goes on must not follow `entry` to the front: it might never come to the end of the list.
  void leave(std::list<Entry>::iterator entry) {
    if (entry == nextToPurge)
      ++nextToPurge;
  }

  void touch(std::list<Entry>::iterator entry) {
    leave(entry);
    entries.splice(entries.begin(), entries, entry);
  }

  /// Moves an entry to `target`, so that its memory is freed after the mutex is.
  void remove(std::list<Entry>::iterator entry, std::list<Entry> &target) {
    leave(entry);
    index.erase(entry->codes);
    target.splice(target.end(), entries, entry);
  }

  /// Removes the expired of the next few entries, in turn.
  void purge(std::list<Entry> &target) {
    for (size_t i = std::min(purgedAtOnce, entries.size()); i > 0; --i) {
      if (nextToPurge == entries.end())
        nextToPurge = entries.begin();
      auto current = nextToPurge++;
      if (current->stamp.expired())
        remove(current, target);
    }
  }
};

/// Never destroyed: tensors of other libraries may outlive this one's static objects.
Memo &memo() {
  static Memo *instance = new Memo;
  return *instance;
}

/// The form `member` of a weight, by `make` where it is not known.
template <typename T, typename Make>
std::shared_ptr<const T> remembered(std::shared_ptr<const T> WeightFormSet::*member, const WeightTensors &weight,
                                    const Format &format, int64_t k, Make make) {
  const c10::TensorImpl *codes = weight.codes.unsafeGetTensorImpl();
  Memo &known = memo();
  std::list<Memo::Entry> removed;
  {
    std::lock_guard<std::mutex> lock(forkSafeMutex());
    known.purge(removed);
    auto found = known.index.find(codes);
    if (found != known.index.end() && found->second->stamp.matches(weight, format, k)) {
      known.touch(found->second);
      if (found->second->forms.*member)
        return found->second->forms.*member;
    }
  }

  // Stamped before it is read: a change made meanwhile is noticed at the next call.
  std::optional<WeightStamp> stamp = WeightStamp::of(weight, format, k);
  std::shared_ptr<const T> made = make();
  if (!stamp)
    return made;

  std::lock_guard<std::mutex> lock(forkSafeMutex());
  if (auto found = known.index.find(codes); found != known.index.end()) {
    if (found->second->stamp.matches(weight, format, k) && stamp->matches(weight, format, k)) {
      found->second->forms.*member = made;
      return made;
    }
    known.remove(found->second, removed);
  }
  if (known.entries.size() >= maxEntries)
    known.remove(std::prev(known.entries.end()), removed);
  WeightFormSet forms;
  forms.*member = made;
  known.entries.push_front({codes, std::move(*stamp), std::move(forms)});
  known.index[codes] = known.entries.begin();
  return made;
}

/// One that is kept may be of another layout.
template <typename T, typename Make>
std::shared_ptr<const T> withLayout(std::shared_ptr<const T> form, const WeightLayout &layout, Make make) {
  return form->layout == layout ? form : make();
}

} // namespace

std::shared_ptr<const PrepackedWeight> bq::prepackRemembered(const char *op, const WeightTensors &weight,
                                                             const Format &format, int64_t k) {
  return remembered(&WeightFormSet::prepacked, weight, format, k,
                    [&] { return prepack(op, weight, format, k, weight.codes.device()); });
}

std::shared_ptr<const GroupedWeight> bq::groupedRemembered(const char *op, const WeightTensors &weight,
                                                           const Format &format, int64_t k,
                                                           const WeightLayout &layout) {
  auto make = [&] { return makeGrouped(op, weight, format, k, layout, weight.codes.device()); };
  return withLayout(remembered(&WeightFormSet::grouped, weight, format, k, make), layout, make);
}

std::shared_ptr<const TransposedWeight> bq::transposedRemembered(const char *op, const WeightTensors &weight,
                                                                 const Format &format, int64_t k,
                                                                 const WeightLayout &layout) {
  auto make = [&] { return makeTransposed(op, weight, format, k, layout); };
  return withLayout(remembered(&WeightFormSet::transposed, weight, format, k, make), layout, make);
}
