// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Steps of optimizers in double precision.
#ifndef BQ_RUNTIME_REFERENCE_REFERENCEUPDATE_H
#define BQ_RUNTIME_REFERENCE_REFERENCEUPDATE_H

#include "runtime/Backend.h"

namespace bq::reference {

/// Backend::update on verified arguments.
Status runUpdate(const UpdateArgs &args, ParallelFor parallel);

} // namespace bq::reference

#endif // BQ_RUNTIME_REFERENCE_REFERENCEUPDATE_H
