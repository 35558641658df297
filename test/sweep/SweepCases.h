// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which kernels the sweep compiles.
#ifndef BQ_TEST_SWEEP_SWEEPCASES_H
#define BQ_TEST_SWEEP_SWEEPCASES_H

#include "codegen/KernelSpec.h"

#include <vector>

namespace bq::sweep {

/// Every format with every compute that GPUs have and every class of rows, and every pair of all other things that a
/// kernel is made from; every op on canonical weights with every format.
std::vector<KernelSpec> allCases();

/// What one architecture of `count` compiles of them: all where BQ_FULL_TESTS is 1, else a sample, another for each
/// `index`.
std::vector<KernelSpec> casesFor(size_t index, size_t count);

} // namespace bq::sweep

#endif // BQ_TEST_SWEEP_SWEEPCASES_H
