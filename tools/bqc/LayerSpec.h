// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A layer on the command line as a KernelSpec.
#ifndef BQ_TOOLS_BQC_LAYERSPEC_H
#define BQ_TOOLS_BQC_LAYERSPEC_H

#include "codegen/KernelSpec.h"
#include "dialect/core/Target.h"
#include "runtime/Conv2dShape.h"
#include "tools/bqc/Commands.h"

namespace bq::cli {

/// The kernel that serves `layer` on a target: the one for its M, with uint8 zero points where the format has zero
/// points. Errors name the option, its value and what is accepted.
Expected<KernelSpec> parseLayer(const LayerOptions &layer, const Target &target);

/// The sizes of a convolution; errors as above.
Expected<Conv2dShape> parseConv2d(const Conv2dOptions &options);

} // namespace bq::cli

#endif // BQ_TOOLS_BQC_LAYERSPEC_H
