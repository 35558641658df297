// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// BQ_TORCH_API marks what libbq_torch.so shows; everything else in it is hidden.
#ifndef BQ_QUANTIZERS_EXPORT_H
#define BQ_QUANTIZERS_EXPORT_H

#define BQ_TORCH_API __attribute__((visibility("default")))

#endif // BQ_QUANTIZERS_EXPORT_H
