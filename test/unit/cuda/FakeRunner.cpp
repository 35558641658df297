// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// In a driver for programs that can only open it, not ask it to run kernels: it does so from the start.
#include "FakeDriver.h"

namespace {
[[maybe_unused]] const bool runs = bq::test::fakeDriver().behaviour.runsKernels = true;
} // namespace
