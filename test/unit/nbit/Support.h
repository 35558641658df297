// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What tests of n-bit layers share.
#ifndef BQ_TEST_UNIT_NBIT_SUPPORT_H
#define BQ_TEST_UNIT_NBIT_SUPPORT_H

#include <ATen/Parallel.h>

namespace bq::test {

/// One thread while it lives, for thousands of small steps: threads that spin for their next piece of work would keep
/// each other, and whatever else runs, from the processors.
class OneThread {
public:
  OneThread() : before(at::get_num_threads()) { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before); }
  OneThread(const OneThread &) = delete;
  OneThread &operator=(const OneThread &) = delete;

private:
  int before;
};

} // namespace bq::test

#endif // BQ_TEST_UNIT_NBIT_SUPPORT_H
