// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/Compiler.h"

#include "codegen/BuildId.inc"

const char *bq::buildId() { return BQ_BUILD_ID; }
