// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The CUDA C++ that stands before every generated kernel.
#ifndef BQ_CODEGEN_CUDA_PRELUDE_H
#define BQ_CODEGEN_CUDA_PRELUDE_H

namespace bq {

/// Text of Prelude.cuh. Ends with a newline; needs no header.
const char *cudaPrelude();

} // namespace bq

#endif // BQ_CODEGEN_CUDA_PRELUDE_H
