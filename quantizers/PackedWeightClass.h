// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Makes torch.classes.bq.PackedWeight known to TorchScript.
#ifndef BQ_QUANTIZERS_PACKEDWEIGHTCLASS_H
#define BQ_QUANTIZERS_PACKEDWEIGHTCLASS_H

namespace bq {

/// The class must be known before an operator that takes one: files that register such operators call this first. Only
/// the first call does something.
void registerPackedWeightClass();

} // namespace bq

#endif // BQ_QUANTIZERS_PACKEDWEIGHTCLASS_H
