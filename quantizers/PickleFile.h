// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Files of torch.save.
#ifndef BQ_QUANTIZERS_PICKLEFILE_H
#define BQ_QUANTIZERS_PICKLEFILE_H

#include "quantizers/Export.h"

#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace bq {

/// Writes numbers, texts, tensors and collections of these, whole or not at all. torch.load reads the file with
/// weights_only, unless a text is one of `classes`: those name classes of Python by module and name, such as
/// collections.Counter, and are written as these. Throws c10::Error that begins with the path.
BQ_TORCH_API void writePickle(const std::string &path, const c10::IValue &value,
                              const std::vector<std::string> &classes = {});

/// Reads what torch.save has written of such values; tensors are on the CPU. In the place of one of `classes` is a
/// number without meaning. Throws c10::Error that begins with the path and says that `expected` was, where the file
/// cannot be read or refers to another class.
BQ_TORCH_API c10::IValue readPickle(const std::string &path, const char *expected,
                                    const std::vector<std::string> &classes = {});

} // namespace bq

#endif // BQ_QUANTIZERS_PICKLEFILE_H
