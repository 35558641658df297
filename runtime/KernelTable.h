// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The few kernels that one weight or one backend uses, found in nanoseconds.
#ifndef BQ_RUNTIME_KERNELTABLE_H
#define BQ_RUNTIME_KERNELTABLE_H

#include "runtime/Kernel.h"

#include <atomic>
#include <memory>
#include <utility>

namespace bq {

/// A list that only grows, searched without a lock from any thread. Two threads that add one key at once leave it there
/// twice; find() then gives the one that was added last.
template <typename Key, typename Value = Kernel>
class KernelTable {
public:
  KernelTable() = default;
  KernelTable(const KernelTable &) = delete;
  KernelTable &operator=(const KernelTable &) = delete;
  ~KernelTable() {
    for (Node *node = first.load(); node;)
      delete std::exchange(node, node->next);
  }

  /// Null where the key has not been added. The value lives as long as the table.
  const Value *find(const Key &key) const {
    for (const Node *node = first.load(std::memory_order_acquire); node; node = node->next)
      if (node->key == key)
        return node->value.get();
    return nullptr;
  }

  void add(const Key &key, std::shared_ptr<const Value> value) {
    Node *node = new Node{key, std::move(value), first.load(std::memory_order_relaxed)};
    while (!first.compare_exchange_weak(node->next, node, std::memory_order_release, std::memory_order_relaxed))
      ;
  }

private:
  struct Node {
    Key key;
    std::shared_ptr<const Value> value;
    Node *next;
  };
  std::atomic<Node *> first{nullptr};
};

} // namespace bq

#endif // BQ_RUNTIME_KERNELTABLE_H
