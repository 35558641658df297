// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Values by name, each made once however many threads ask for it.
#ifndef BQ_RUNTIME_ONCETABLE_H
#define BQ_RUNTIME_ONCETABLE_H

#include "dialect/core/Status.h"
#include "runtime/Fork.h"

#include <future>
#include <memory>
#include <string>
#include <unordered_map>

namespace bq {

/// All calls may come from any thread, and from a forked child. Values stay as long as the table.
template <typename Value>
class OnceTable {
public:
  using Result = Expected<std::shared_ptr<const Value>>;

  /// The value of this name. Where there is none, one of the threads that ask calls make(), which must not throw, and
  /// the others wait. An error goes to all that waited and is not kept. Calls found() first where the value is in
  /// memory or being made by another thread.
  template <typename Found, typename Make>
  Result get(const std::string &name, Found found, Make make) {
    std::promise<Result> promise;
    std::shared_ptr<const Value> value;
    std::shared_future<Result> pending;
    {
      std::lock_guard<std::mutex> guard(forkSafeMutex());
      Slot &slot = slots[name];
      value = slot.value;
      // What a thread of the parent was making when this process was forked off is made anew.
      if (slot.pending.valid() && slot.generation == forkGeneration()) {
        pending = slot.pending;
      } else if (!value) {
        slot.pending = promise.get_future().share();
        slot.generation = forkGeneration();
      }
    }
    if (value || pending.valid()) {
      found();
      return value ? Result(std::move(value)) : pending.get();
    }

    Result result = make();
    {
      std::lock_guard<std::mutex> guard(forkSafeMutex());
      if (result) {
        Slot &slot = slots[name];
        slot.value = *result;
        slot.pending = {};
      } else {
        slots.erase(name);
      }
    }
    promise.set_value(result);
    return result;
  }

  /// The value of this name; null where there is none yet.
  std::shared_ptr<const Value> find(const std::string &name) const {
    std::lock_guard<std::mutex> guard(forkSafeMutex());
    auto found = slots.find(name);
    return found == slots.end() ? nullptr : found->second.value;
  }

private:
  struct Slot {
    std::shared_ptr<const Value> value; ///< Null while it is being made.
    std::shared_future<Result> pending;
    uint64_t generation = 0; ///< forkGeneration() of the maker.
  };
  std::unordered_map<std::string, Slot> slots; ///< Under forkSafeMutex().
};

} // namespace bq

#endif // BQ_RUNTIME_ONCETABLE_H
