// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From a call of a linear layer to the kernel it needs, for every backend.
#ifndef BQ_RUNTIME_LINEARSPEC_H
#define BQ_RUNTIME_LINEARSPEC_H

#include "codegen/Artifact.h"
#include "codegen/KernelSpec.h"
#include "dialect/core/FragmentLayout.h"
#include "runtime/Backend.h"
#include "runtime/Conv2dShape.h"

#include <cstdlib>
#include <limits>

namespace bq {

/// The spec of the kernel for `args` on a prepacked weight [n, k]; `permuted`: its columns are in the order of groups;
/// `columnFactors`: they have factors; `rows`: what the backend's target has for args.m (kernelRows), 0 for patches.
inline KernelSpec linearSpec(const Format &format, int64_t n, int64_t k, ElementType scaleType, ZeroPointType zeroType,
                             bool permuted, bool columnFactors, int rows, const LinearArgs &args) {
  KernelSpec spec;
  spec.op = args.isGradient ? KernelSpec::Op::LinearInputGradient
            : args.geometry ? KernelSpec::Op::Conv2d
                            : KernelSpec::Op::Linear;
  spec.format = format;
  spec.n = n;
  spec.k = k;
  spec.dataType = args.dataType;
  spec.scaleType = scaleType;
  spec.zeroType = zeroType;
  spec.compute = args.compute;
  spec.rows = rows;
  spec.hasBias = args.bias != nullptr;
  spec.activation = args.activation;
  spec.permuted = permuted;
  spec.columnFactors = columnFactors;
  spec.activationBits = args.activationBits;
  if (args.geometry) {
    spec.kernelHeight = args.geometry->kernelHeight;
    spec.kernelWidth = args.geometry->kernelWidth;
    spec.groups = args.geometry->groups;
  }
  return spec;
}

/// The same call on rows of a linear layer, where the patches are pixels one after the other.
inline LinearArgs withoutPointwise(LinearArgs args) {
  if (args.geometry && isPointwise(*args.geometry)) {
    args.xStride = args.geometry->columnStride;
    args.geometry = nullptr;
  }
  return args;
}

/// Elements from the first to the last that the patches of k elements of a convolution with images are made of.
inline int64_t imageElements(const abi::Conv2dGeometry &g, int64_t k) {
  if (!g.batch || !g.height || !g.width)
    return 0;
  return (g.batch - 1) * g.batchStride + (g.height - 1) * g.rowStride + (g.width - 1) * g.columnStride +
         k / (g.kernelHeight * g.kernelWidth);
}

/// Whether kernels for GPUs can have these patches: of one group, and with coordinates, inside the image or not, that
/// fit the 32 bits they are counted in.
inline Status verifyPatches(const LinearArgs &args) {
  if (!args.geometry)
    return {};
  const abi::Conv2dGeometry &g = *args.geometry;
  if (g.groups != 1)
    return unsupported("geometry.groups is " + std::to_string(g.groups) + ": kernels for GPUs do one group");
  for (int axis : {0, 1}) {
    const int64_t size = axis ? g.outWidth : g.outHeight, taps = axis ? g.kernelWidth : g.kernelHeight;
    const int64_t most = size * g.multiply[axis] + std::abs(g.offset[axis]) + taps * std::abs(g.tapStep[axis]);
    if (most > std::numeric_limits<int32_t>::max())
      return invalidArgument("the geometry has coordinates up to " + std::to_string(most) + " in axis " +
                             std::to_string(axis) + ": kernels for GPUs have them up to " +
                             std::to_string(std::numeric_limits<int32_t>::max()));
  }
  return {};
}

/// Columns of the parts of sums that a kernel for a GPU keeps in its workspace: those of y, or of a gradient as the
/// weight's segments have them.
inline int64_t workspaceColumns(const KernelSpec &spec) {
  return spec.op == KernelSpec::Op::LinearInputGradient
             ? FragmentLayout::get(spec.format, spec.n, spec.k).paddedColumns()
             : spec.n;
}

/// Whether a kernel for a GPU that reads prepared activations (Artifact::rowMajorColumns) reads the rows of x instead,
/// since preparing them would copy them: bf16 without padding, in their own order, aligned to 16 bytes.
inline bool areRowsPrepared(const KernelSpec &spec, const Artifact &artifact, const LinearArgs &args) {
  return spec.op == KernelSpec::Op::Linear && spec.dataType == ElementType::BF16 && spec.compute == Compute::BF16 &&
         !spec.permuted && !spec.format.hasColumnScale() && artifact.rowMajorColumns == spec.k &&
         (reinterpret_cast<uintptr_t>(args.x) | static_cast<uintptr_t>(args.xStride) * sizeof(uint16_t)) % 16 == 0;
}

} // namespace bq

#endif // BQ_RUNTIME_LINEARSPEC_H
