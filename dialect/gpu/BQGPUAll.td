// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The whole bqgpu dialect, for TableGen.
include "dialect/gpu/BQGPUOps.td"
