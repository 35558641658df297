// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/cpu/DirectPixels.h"

#include "dialect/core/KernelAbi.h"

#include <cstddef>

using namespace mlir;
using namespace bq;

using Geometry = abi::Conv2dGeometry;

/// Columns of the image that a tile keeps the places of.
static int64_t columns(const LinearPlan &plan) {
  return std::max(plan.rows * plan.patchWidth, plan.rows + plan.patchWidth - 1);
}

int64_t DirectPixels::scratchBytes(const LinearPlan &plan) { return (8 + 4) * (plan.patchHeight + columns(plan)); }

DirectPixels::DirectPixels(KernelBuilder &b, const LinearPlan &plan, Value pointer, Value geometry, Value scale,
                           Value scratch, int64_t scratchByte, int64_t span)
    : b(b), plan(plan), span(span), geometry(geometry) {
  images = b.view(pointer, {ShapedType::kDynamic}, b.index(0));
  batch = field(offsetof(Geometry, batch));
  batchStride = field(offsetof(Geometry, batchStride));
  y = axis(offsetof(Geometry, height), offsetof(Geometry, rowStride), offsetof(Geometry, outHeight), 0);
  x = axis(offsetof(Geometry, width), offsetof(Geometry, columnStride), offsetof(Geometry, outWidth), 1);
  auto isOne = [&](Value value) -> Value {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, value, b.index(1));
  };
  isDense = arith::AndIOp::create(b, x.isWhole, arith::AndIOp::create(b, isOne(x.multiply), isOne(x.step)));
  if (plan.staticBits) {
    quantizer.emplace(b, plan.staticBits, b.loadScalar(scale, ValueRange()));
    Value code = b.loadScalar(geometry, b.index(offsetof(Geometry, padCode) / sizeof(int64_t)));
    VectorType type = b.vec(b.getF32Type(), span);
    padding =
        b.bitcast(b.vec(b.getI32Type(), span), b.broadcast(type, arith::SIToFPOp::create(b, b.getF32Type(), code)));
  }
  auto table = [&](Type element, int64_t count) -> Value {
    Value view =
        memref::ViewOp::create(b, MemRefType::get({count}, element), scratch, b.index(scratchByte), ValueRange());
    scratchByte += count * static_cast<int64_t>(element.getIntOrFloatBitWidth() / 8);
    return view;
  };
  lineOffsets = table(b.getI64Type(), plan.patchHeight);
  columnOffsets = table(b.getI64Type(), columns(plan));
  lineMasks = table(b.getI32Type(), plan.patchHeight);
  columnMasks = table(b.getI32Type(), columns(plan));
}

Value DirectPixels::field(size_t offset) {
  Value value = b.loadScalar(geometry, b.index(static_cast<int64_t>(offset / sizeof(int64_t))));
  return arith::IndexCastOp::create(b, b.getIndexType(), value);
}

DirectPixels::Axis DirectPixels::axis(size_t size, size_t stride, size_t outSize, int64_t which) {
  auto element = [&](size_t offset) { return field(offset + which * sizeof(int64_t)); };
  Axis axis;
  axis.size = field(size);
  axis.stride = field(stride);
  axis.outSize = field(outSize);
  axis.multiply = element(offsetof(Geometry, multiply));
  axis.divide = element(offsetof(Geometry, divide));
  axis.offset = element(offsetof(Geometry, offset));
  axis.step = element(offsetof(Geometry, tapStep));
  axis.isWhole = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, axis.divide, b.index(1));
  return axis;
}

DirectPixels::Place DirectPixels::locate(const Axis &axis, Value out, Value tap) {
  Value numerator = b.addI(b.addI(b.mulI(out, axis.multiply), axis.offset), b.mulI(tap, axis.step));
  auto branch = scf::IfOp::create(b, TypeRange{b.getIndexType(), b.getI1Type()}, axis.isWhole, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, ValueRange{numerator, axis.isWhole});
    b.setInsertionPointToStart(branch.elseBlock());
    Value isPositive = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, numerator, b.index(0));
    Value positive = b.max(numerator, b.index(0)), quotient = arith::DivUIOp::create(b, positive, axis.divide);
    Value remainder = arith::RemUIOp::create(b, positive, axis.divide);
    Value isMultiple = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, remainder, b.index(0));
    scf::YieldOp::create(b, ValueRange{quotient, arith::AndIOp::create(b, isPositive, isMultiple)});
  }
  Value isIn = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, branch.getResult(0), axis.size);
  Value isInside = arith::AndIOp::create(b, isIn, branch.getResult(1));
  return {b.select(isInside, b.mulI(branch.getResult(0), axis.stride), b.index(0)), isInside};
}

void DirectPixels::keep(Place place, Value offsets, Value masks, Value at) {
  b.storeScalar(arith::IndexCastOp::create(b, b.getI64Type(), place.offset), offsets, at);
  b.storeScalar(arith::ExtSIOp::create(b, b.getI32Type(), place.isInside), masks, at);
}

void DirectPixels::startLine(Value line) {
  Value image = arith::DivUIOp::create(b, line, y.outSize), out = arith::RemUIOp::create(b, line, y.outSize);
  Value start = b.mulI(image, batchStride), isTrue = arith::ConstantIntOp::create(b, b.getI1Type(), 1);
  allLines = b.loop(b.index(0), b.index(plan.patchHeight), 1, ValueRange{isTrue}, [&](Value tap, ValueRange all) {
    Place place = locate(y, out, tap);
    Value isInside = place.isInside;
    place.offset = b.addI(start, place.offset);
    keep(place, lineOffsets, lineMasks, tap);
    return SmallVector<Value>{arith::AndIOp::create(b, all[0], isInside)};
  })[0];
}

/// Where the columns are that a tile with padding reads: those next to each other, or those of each pixel and tap.
void DirectPixels::placeColumns(bool isDense) {
  const int64_t width = plan.patchWidth, count = isDense ? plan.rows + width - 1 : plan.rows * width;
  Value lastPixel = b.sub(x.outSize, b.index(1));
  b.loop(b.index(0), b.index(count), 1, [&](Value i) {
    Place place = isDense ? locate(x, firstPixel, i)
                          : locate(x, b.min(b.add(firstPixel, b.div(i, width)), lastPixel), b.rem(i, width));
    keep(place, columnOffsets, columnMasks, i);
  });
}

/// Whether nothing of the tile is padding, and it ends within its line.
Value DirectPixels::isInsideTile() {
  auto both = [&](Value l, Value r) -> Value { return arith::AndIOp::create(b, l, r); };
  auto is = [&](arith::CmpIPredicate predicate, Value l, Value r) -> Value {
    return arith::CmpIOp::create(b, predicate, l, r);
  };
  Value reach = b.mul(x.step, plan.patchWidth - 1), start = b.addI(b.mulI(firstPixel, x.multiply), x.offset);
  Value least = b.addI(start, b.min(reach, b.index(0)));
  Value most = b.addI(b.addI(start, b.mul(x.multiply, plan.rows - 1)), b.max(reach, b.index(0)));
  Value isIn = both(is(arith::CmpIPredicate::sge, least, b.index(0)), is(arith::CmpIPredicate::slt, most, x.size));
  Value isWhole = is(arith::CmpIPredicate::sle, b.add(firstPixel, plan.rows), x.outSize);
  return both(both(allLines, x.isWhole), both(isIn, isWhole));
}

void DirectPixels::startTile(Value tile, function_ref<void(Kind kind)> body) {
  Value last = b.max(b.sub(x.outSize, b.index(plan.rows)), b.index(0));
  firstPixel = b.min(b.mul(tile, plan.rows), last);
  auto choose = [&](Value condition, function_ref<void()> yes, function_ref<void()> no) {
    auto branch = scf::IfOp::create(b, condition, /*withElseRegion=*/true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    yes();
    b.setInsertionPointToStart(branch.elseBlock());
    no();
  };
  Value isInside = isInsideTile();
  auto write = [&](bool dense) {
    choose(
        isInside, [&] { body({dense, /*isMasked=*/false}); },
        [&] {
          placeColumns(dense);
          body({dense, /*isMasked=*/true});
        });
  };
  choose(isDense, [&] { write(true); }, [&] { write(false); });
}

/// Channels from `at` on as they are multiplied; `mask` is null where they are inside the image.
Value DirectPixels::load(Value at, Value mask) {
  Value v = b.extendFloat(b.load(b.vec(plan.dataType, span), images, at));
  if (quantizer)
    v = quantizer->quantize(v);
  if (plan.roundToBF16)
    v = b.extendFloat(b.truncateFloat(v, b.getBF16Type()));
  if (!mask)
    return v;
  Value bits = b.bitcast(b.vec(b.getI32Type(), span), v);
  bits = padding ? Value(arith::XOrIOp::create(b, padding,
                                               arith::AndIOp::create(b, mask, arith::XOrIOp::create(b, padding, bits))))
                 : Value(arith::AndIOp::create(b, mask, bits));
  return b.bitcast(v.getType(), bits);
}

SmallVector<Value> DirectPixels::whereSeen(Kind kind, Value tapLine, ValueRange before,
                                           function_ref<SmallVector<Value>()> body) {
  // Padding of codes need not be zero.
  if (!kind.isMasked || padding)
    return body();
  Value isSeen = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, b.loadScalar(lineMasks, tapLine), b.i32(0));
  auto branch = scf::IfOp::create(b, before.getTypes(), isSeen, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(b, body());
  b.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(b, before);
  return SmallVector<Value>(branch.getResults());
}

void DirectPixels::forEach(Kind kind, Value tapLine, Value channel,
                           function_ref<void(Value x, int64_t pixel, int64_t tap)> body) {
  const int64_t width = plan.patchWidth;
  auto toIndex = [&](Value offset) -> Value { return arith::IndexCastOp::create(b, b.getIndexType(), offset); };
  Value line = b.addI(toIndex(b.loadScalar(lineOffsets, tapLine)), channel), lineMask;
  VectorType ints = b.vec(b.getI32Type(), span);
  Value start, pixelStep = b.mulI(x.multiply, x.stride), tapStep = b.mulI(x.step, x.stride);
  if (kind.isMasked && padding)
    lineMask = b.broadcast(ints, b.loadScalar(lineMasks, tapLine));
  if (!kind.isMasked)
    start = b.addI(line, b.mulI(b.addI(b.mulI(firstPixel, x.multiply), x.offset), x.stride));
  auto masked = [&](int64_t i) {
    Value mask = b.broadcast(ints, b.loadScalar(columnMasks, b.index(i)));
    if (lineMask)
      mask = arith::AndIOp::create(b, lineMask, mask);
    return load(b.addI(line, toIndex(b.loadScalar(columnOffsets, b.index(i)))), mask);
  };
  if (kind.isDense) {
    for (int64_t i = 0; i < plan.rows + width - 1; ++i) {
      Value pixels = kind.isMasked ? masked(i) : load(start, {});
      for (int64_t tap = std::max<int64_t>(0, i - plan.rows + 1); tap < std::min(width, i + 1); ++tap)
        body(pixels, i - tap, tap);
      if (!kind.isMasked)
        start = b.addI(start, pixelStep);
    }
    return;
  }
  for (int64_t tap = 0; tap < width; ++tap) {
    Value at = start;
    for (int64_t pixel = 0; pixel < plan.rows; ++pixel) {
      body(kind.isMasked ? masked(pixel * width + tap) : load(at, {}), pixel, tap);
      if (!kind.isMasked)
        at = b.addI(at, pixelStep);
    }
    if (!kind.isMasked)
      start = b.addI(start, tapStep);
  }
}

void DirectPixels::prefetchNextLine(Value channel) {
  const int64_t last = plan.patchHeight - 1;
  Value row = arith::IndexCastOp::create(b, b.getIndexType(), b.loadScalar(lineOffsets, b.index(last)));
  Value column = b.mulI(b.addI(b.mulI(firstPixel, x.multiply), x.offset), x.stride);
  Value at = b.addI(b.addI(b.addI(row, channel), column), b.mulI(y.multiply, y.stride));
  for (int64_t pixel = 0; pixel < plan.rows; ++pixel, at = b.addI(at, x.stride))
    b.prefetch(images, at);
}

Value DirectPixels::result(Value line, Value pixel) {
  Value lastPixel = b.sub(x.outSize, b.index(1));
  return b.addI(b.mulI(line, x.outSize), b.min(b.addI(firstPixel, pixel), lastPixel));
}
