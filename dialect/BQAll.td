// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The whole dialect, for TableGen.
include "dialect/BQOps.td"
include "dialect/BQTileOps.td"
