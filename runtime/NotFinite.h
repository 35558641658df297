// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What every backend says of a gradient that no step is taken with.
#ifndef BQ_RUNTIME_NOTFINITE_H
#define BQ_RUNTIME_NOTFINITE_H

#include "dialect/core/Status.h"

#include <cstdint>
#include <string>

namespace bq {

/// Of element `at` of a gradient; `columns`: of its rows, 0 for that of a weight of floats, which has none.
inline Error notFinite(int64_t at, int64_t columns) {
  const std::string place =
      columns ? std::to_string(at / columns) + ", " + std::to_string(at % columns) : std::to_string(at);
  return invalidArgument("gradient[" + place + "] is NaN or infinite: nothing was changed");
}

} // namespace bq

#endif // BQ_RUNTIME_NOTFINITE_H
