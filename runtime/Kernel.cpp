// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/Kernel.h"

using namespace bq;

Kernel::Kernel(KernelSpec spec, Artifact artifact, LoadedObject object)
    : description(std::move(spec)), metadata(std::move(artifact)), code(std::move(object)) {}

Expected<std::shared_ptr<const Kernel>> Kernel::load(const KernelSpec &spec, Artifact artifact) {
  bool isLinear = spec.op == KernelSpec::Op::Linear;
  auto refuse = [&](const std::string &why) { return internalError("kernel " + artifact.name + ": " + why); };
  if (artifact.tasks < 0 || (isLinear && !artifact.tasks) || artifact.rowMultiple < 1 || artifact.panelDataBytes < 0 ||
      artifact.panelSums < 0 || artifact.prepareScratchBytes < 0 || artifact.scratchBytes < 0)
    return refuse("its metadata has a size out of range");
  Expected<LoadedObject> object = LoadedObject::load(artifact.object.data(), artifact.object.size());
  if (!object)
    return refuse(object.error().message);

  artifact.object.clear();
  artifact.object.shrink_to_fit();
  std::shared_ptr<Kernel> kernel(new Kernel(spec, std::move(artifact), std::move(*object)));
  const std::string &name = kernel->metadata.name;
  kernel->entry = kernel->code.function(name);
  kernel->prepareEntry = kernel->code.function(name + "_prepare");
  if (!kernel->entry)
    return internalError("kernel " + name + ": its object does not define it");
  if ((isLinear || spec.scaling == ScaleUpdate::Tensor) && !kernel->prepareEntry)
    return internalError("kernel " + name + ": its object does not define " + name + "_prepare");
  return std::shared_ptr<const Kernel>(std::move(kernel));
}
