// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What a call throws, as text.
#ifndef BQ_TEST_UNIT_MESSAGEOF_H
#define BQ_TEST_UNIT_MESSAGEOF_H

#include <c10/util/Exception.h>

#include <string>

namespace bq::test {

/// The text of the c10::Error that `function` throws, or "accepted".
template <typename Function>
std::string messageOf(Function function) {
  try {
    function();
  } catch (const c10::Error &error) {
    return error.what_without_backtrace();
  }
  return "accepted";
}

} // namespace bq::test

#endif // BQ_TEST_UNIT_MESSAGEOF_H
