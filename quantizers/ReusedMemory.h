// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory of large tensors that live for a training step: taken again in the next one.
#ifndef BQ_QUANTIZERS_REUSEDMEMORY_H
#define BQ_QUANTIZERS_REUSEDMEMORY_H

#include "quantizers/Export.h"

#include <ATen/ATen.h>

namespace bq {

/// A contiguous tensor of the shape, type and device of `like`, its elements undefined.
///
/// On CPUs a large one (1 MiB or more) is on huge pages, and has the memory of one of as many bytes whose last owner
/// has let go of it, where there is such: for a system to hand out new pages takes it longer than noise takes to make.
/// Memory that nobody owns is the system's to take back whenever it runs short; of what is free at most 1 GiB is kept
/// in all. May be called, and tensors freed, from several threads.
BQ_TORCH_API at::Tensor emptyReused(const at::Tensor &like);

} // namespace bq

#endif // BQ_QUANTIZERS_REUSEDMEMORY_H
