// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The whole dialect, for TableGen.
include "dialect/BQDiffqOps.td"
include "dialect/BQProductOps.td"
include "dialect/BQOps.td"
include "dialect/BQQuantizerOps.td"
include "dialect/BQTileOps.td"
include "dialect/BQTrainingOps.td"
