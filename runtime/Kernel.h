// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A kernel that can be called.
#ifndef BQ_RUNTIME_KERNEL_H
#define BQ_RUNTIME_KERNEL_H

#include "codegen/Artifact.h"
#include "codegen/KernelSpec.h"
#include "dialect/core/DirectConv2d.h"
#include "dialect/core/NoiseAbi.h"
#include "runtime/ElfLoader.h"

#include <memory>

namespace bq {

/// Code, what it was made from, and what a caller must know to run it. Immutable, usable from any thread; the entry
/// points live as long as the kernel. Only the one that belongs to spec().op may be called.
class Kernel {
public:
  /// Loads the artifact's object and looks up the entry points of spec.op. Internal where the artifact does not hold
  /// what the spec needs.
  static Expected<std::shared_ptr<const Kernel>> load(const KernelSpec &spec, Artifact artifact);

  const KernelSpec &spec() const { return description; }
  /// All but the object, which is dropped once it is loaded.
  const Artifact &artifact() const { return metadata; }

  abi::LinearFn linear() const { return reinterpret_cast<abi::LinearFn>(entry); }
  /// Of a convolution with groups.
  abi::DirectConv2dFn directConv2d() const { return reinterpret_cast<abi::DirectConv2dFn>(entry); }
  abi::PrepareFn prepare() const { return reinterpret_cast<abi::PrepareFn>(prepareEntry); }
  abi::EmbeddingFn embedding() const { return reinterpret_cast<abi::EmbeddingFn>(entry); }
  abi::DequantizeFn dequantize() const { return reinterpret_cast<abi::DequantizeFn>(entry); }
  abi::QuantizeFn quantize() const { return reinterpret_cast<abi::QuantizeFn>(entry); }
  abi::MagnitudeSumsFn magnitudeSums() const { return reinterpret_cast<abi::MagnitudeSumsFn>(entry); }
  abi::DiffqNoiseFn diffqNoise() const { return reinterpret_cast<abi::DiffqNoiseFn>(entry); }
  abi::DiffqNoiseGradFn diffqNoiseGrad() const { return reinterpret_cast<abi::DiffqNoiseGradFn>(entry); }
  abi::WeightRangeFn weightRange() const { return reinterpret_cast<abi::WeightRangeFn>(entry); }
  abi::FakeQuantizeFn fakeQuantize() const { return reinterpret_cast<abi::FakeQuantizeFn>(entry); }
  abi::FakeQuantizeGradFn fakeQuantizeGrad() const { return reinterpret_cast<abi::FakeQuantizeGradFn>(entry); }
  abi::UpdateFn update() const { return reinterpret_cast<abi::UpdateFn>(entry); }
  /// Where the scale spans the tensor: what comes before.
  abi::UpdateFn updateMoments() const { return reinterpret_cast<abi::UpdateFn>(prepareEntry); }

private:
  Kernel(KernelSpec spec, Artifact artifact, LoadedObject object);

  KernelSpec description;
  Artifact metadata;
  LoadedObject code;
  void *entry = nullptr;
  void *prepareEntry = nullptr;
};

} // namespace bq

#endif // BQ_RUNTIME_KERNEL_H
