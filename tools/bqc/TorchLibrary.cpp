// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "tools/bqc/Commands.h"

#include <dlfcn.h>

using namespace bq;
using namespace bq::cli;

Expected<const TorchCommands *> cli::torchCommands() {
  // Found by the run path of this program.
  void *library = dlopen("libbqc_torch.so", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return notFound(std::string("LibTorch's part of bqc cannot be loaded: ") + dlerror());
  const auto symbol = reinterpret_cast<TorchCommandsFn>(dlsym(library, torchCommandsSymbol));
  if (!symbol)
    return notFound(std::string("libbqc_torch.so does not belong to this bqc: ") + dlerror());
  return symbol();
}
