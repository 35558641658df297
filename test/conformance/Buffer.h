// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory that notices accesses outside it.
#ifndef BQ_TEST_CONFORMANCE_BUFFER_H
#define BQ_TEST_CONFORMANCE_BUFFER_H

#include <cstddef>
#include <cstdint>

namespace bq::conformance {

/// `size` bytes that end where an inaccessible page begins, so that one byte read or written past them ends the
/// program; aligned to nothing but what that leaves. All of it, and the memory before it, is filled with `filler`.
class GuardedBuffer {
public:
  static constexpr uint8_t filler = 0xff; ///< NaN in every float type.

  explicit GuardedBuffer(int64_t size = 0);
  GuardedBuffer(GuardedBuffer &&other) noexcept;
  GuardedBuffer &operator=(GuardedBuffer &&other) noexcept;
  ~GuardedBuffer();

  uint8_t *data() const { return mapped + reach; }
  int64_t size() const { return bytes; }
  /// Whether the memory before data() is as it was.
  bool intactBefore() const;

private:
  uint8_t *mapped = nullptr;
  int64_t reach = 0; ///< Accessible bytes before data().
  int64_t bytes = 0;
};

} // namespace bq::conformance

#endif // BQ_TEST_CONFORMANCE_BUFFER_H
