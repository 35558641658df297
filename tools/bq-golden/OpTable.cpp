// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bq-golden/OpTable.h"

using namespace bq::golden;

OpTable bq::golden::allOps() {
  OpTable table;
  for (auto *add : {addDiffqModelOps, addDiffqOps, addGptqOps, addLayerOps, addOneBitOps, addOptimizerOps,
                    addQuantizerOps, addUpdateOps})
    add(table);
  return table;
}
