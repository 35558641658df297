// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/FragmentPlan.h"

#include "dialect/core/CudaAbi.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

void FragmentBuffers::addPatchTypes(GpuBuilder &b, SmallVectorImpl<Type> &types) {
  types.append(std::tuple_size_v<decltype(cuda::PatchArguments::strides)>, b.getI64Type());
  types.append(std::tuple_size_v<decltype(cuda::PatchArguments::numbers)>, b.getI32Type());
}

void FragmentBuffers::takePatches(func::FuncOp func, unsigned first) {
  for (Value *value : {&patches.batchStride, &patches.lines.stride, &patches.pixels.stride, &patches.firstRow,
                       &patches.outHeight, &patches.outWidth, &patches.padCode})
    *value = func.getArgument(first++);
  for (Axis *axis : {&patches.lines, &patches.pixels})
    for (Value *value : {&axis->size, &axis->multiply, &axis->divide, &axis->offset, &axis->tapStep})
      *value = func.getArgument(first++);
}

Value PatchReader::firstTap(const FragmentBuffers::Axis &axis, Value out) {
  return b.add(b.mul(out, axis.multiply), axis.offset);
}

PatchReader::Patch PatchReader::patchOf(Value row) {
  const FragmentBuffers::Patches &patches = buffers.patches;
  Value pixel = b.add(row, patches.firstRow);
  Value line = arith::DivUIOp::create(b, pixel, patches.outWidth);
  Value outX = arith::RemUIOp::create(b, pixel, patches.outWidth);
  Value image = arith::DivUIOp::create(b, line, patches.outHeight);
  Value outY = arith::RemUIOp::create(b, line, patches.outHeight);
  return {b.mul(b.wide(image), patches.batchStride), firstTap(patches.lines, outY), firstTap(patches.pixels, outX)};
}

PatchReader::Coordinate PatchReader::coordinate(const FragmentBuffers::Axis &axis, Value first, Value tap) {
  Value numerator = b.add(first, b.mul(tap, axis.tapStep));
  // Of a negative numerator it is no quotient, and not used.
  Value value = arith::DivUIOp::create(b, numerator, axis.divide);
  Value isWhole = b.equal(b.mul(value, axis.divide), numerator);
  Value isInside = b.both(b.lessThan(b.i32(-1), numerator), b.both(isWhole, b.lessThan(value, axis.size)));
  return {value, isInside};
}

PatchReader::Place PatchReader::locate(const Patch &patch, Value column) {
  const FragmentBuffers::Patches &patches = buffers.patches;
  Value tap = b.div(column, plan.channels()), channel = b.rem(column, plan.channels());
  const Coordinate y = coordinate(patches.lines, patch.line, b.div(tap, plan.patchWidth));
  const Coordinate x = coordinate(patches.pixels, patch.pixel, b.rem(tap, plan.patchWidth));
  Value at = b.add(patch.image, b.mul(b.wide(y.value), patches.lines.stride));
  at = b.add(b.add(at, b.mul(b.wide(x.value), patches.pixels.stride)), b.wide(channel));
  Value isInside = b.both(y.isInside, x.isInside);
  return {b.select(isInside, at, b.i64(0)), isInside};
}

Value PatchReader::padding() { return plan.staticBits ? b.toFloat(buffers.patches.padCode) : b.f32(0.0f); }

Value PatchReader::isAligned() {
  const FragmentBuffers::Patches &patches = buffers.patches;
  const int64_t elementBytes = plan.dataType.getIntOrFloatBitWidth() / 8;
  Value strides = b.bitOr(patches.batchStride, b.bitOr(patches.lines.stride, patches.pixels.stride));
  Value bits = b.bitOr(gpu::AddressOp::create(b, buffers.x), b.mul(strides, elementBytes));
  return b.equal(b.bitAnd(bits, 15), b.i64(0));
}
