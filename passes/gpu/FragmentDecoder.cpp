// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/FragmentDecoder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

FragmentDecoder::FragmentDecoder(GpuBuilder &b, const FragmentPlan &plan, const FragmentBuffers &buffers)
    : b(b), plan(plan), buffers(buffers), planes(plan.layout.planes()) {
  int64_t offset = 0;
  for (int width : planes) {
    const int64_t count = plan.layout.loadWords(width), words = plan.layout.laneWords(width);
    for (int64_t word = 0; word < words; word += count)
      pieces.push_back({width, word, count, offset + 32 * word});
    offset += 32 * words;
  }
  if (!plan.format.isTable())
    return;
  auto [element, count, bytesBefore] = plan.tableForm(b);
  table = b.shared(element, count);
  const int64_t first = bytesBefore * 8 / element.getIntOrFloatBitWidth();
  b.loop(b.thread(), b.i32(count), b.i32(FragmentPlan::threads),
         [&](Value i) { b.store(b.load(buffers.table, b.add(i, first)), table, i); });
  b.barrier();
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

Value FragmentDecoder::loadPiece(Value block, Value segment, Value lane, int64_t piece) {
  const FragmentLayout &layout = plan.layout;
  const auto &[width, word, count, offset] = pieces[piece];
  Value base = b.mul(b.add(b.mul(b.wide(block), layout.segments()), b.wide(segment)), layout.segmentWords());
  Value at = b.add(b.add(base, b.wide(b.mul(lane, count))), offset);
  Type type = count == 1 ? Type(b.getI32Type()) : b.vec(b.getI32Type(), count);
  return b.load(type, buffers.codes, at, /*streamed=*/true);
}

int64_t FragmentDecoder::lastUnit(int64_t piece) const {
  const auto &[width, word, count, offset] = pieces[piece];
  return ((word + count) * (8 / width) - 1) / 4;
}

SmallVector<Value> FragmentDecoder::load(Value block, Value segment, Value lane) {
  SmallVector<Value> loaded;
  for (int64_t piece = 0; piece < loads(); ++piece)
    loaded.push_back(loadPiece(block, segment, lane, piece));
  return loaded;
}

FragmentDecoder::Words FragmentDecoder::words(ValueRange loaded) {
  Words result(planes.size());
  for (auto [piece, value] : llvm::zip(pieces, loaded)) {
    auto &plane = result[llvm::find(planes, piece.width) - planes.begin()];
    for (int64_t i = 0; i < piece.count; ++i)
      plane.push_back(piece.count == 1 ? value : b.element(value, i));
  }
  return result;
}

int64_t FragmentDecoder::unitsAtATime(int64_t most) const {
  const int64_t whole = planes.back() == 1 ? 2 : 1;
  for (int64_t count = most; count > whole; --count)
    if (plan.layout.units() % count == 0 && count % whole == 0)
      return count;
  return whole;
}

SmallVector<Value> FragmentDecoder::forEachUnits(int64_t atATime, ArrayRef<Words> blocks, ValueRange initial,
                                                 UnitsBody body) {
  if (atATime == plan.layout.units())
    return body(b.i32(0), blocks, initial);
  // Registers have no index: the words go round, so that those in use are always the first.
  SmallVector<Value> carried(initial);
  for (const Words &block : blocks)
    for (const auto &plane : block)
      carried.append(plane);
  carried = b.loop(b.i32(0), b.i32(plan.layout.units()), b.i32(atATime), carried, [&](Value first, ValueRange state) {
    SmallVector<Words> current(blocks);
    SmallVector<Value> rotated;
    size_t next = initial.size();
    for (Words &block : current)
      for (auto [plane, width] : llvm::zip(block, planes)) {
        for (Value &word : plane)
          word = state[next++];
        const int64_t used = 4 * atATime * width / 8;
        rotated.append(plane.begin() + used, plane.end());
        rotated.append(plane.begin(), plane.begin() + used);
      }
    SmallVector<Value> result = body(first, current, state.take_front(initial.size()));
    result.append(rotated);
    return result;
  });
  carried.truncate(initial.size());
  return carried;
}

Value FragmentDecoder::join(Value word, int64_t mask, Value base) {
  if (!base)
    return b.bitAnd(word, mask);
  constexpr int32_t andOr = 0xea, andXor = 0x6a;
  return gpu::Logic3Op::create(b, word, b.i32(mask), base, isSign() ? andXor : andOr);
}

Value FragmentDecoder::halves(const Words &words, int64_t unit, int64_t reg, int64_t step, int64_t target, Value base) {
  int64_t offset = target;
  for (auto [plane, width] : llvm::enumerate(planes)) {
    const int64_t perByte = 8 / width, at = 4 * unit + reg;
    Value word = b.shift(words[plane][at / perByte], width * (at % perByte) + 8 * step - offset);
    base = join(word, (((int64_t(1) << width) - 1) << offset) * 0x00010001, base);
    offset += width;
  }
  return base;
}

Value FragmentDecoder::codes(const Words &words, int64_t unit, int64_t reg) {
  int64_t offset = 0;
  Value all;
  for (auto [plane, width] : llvm::enumerate(planes)) {
    const int64_t perByte = 8 / width, at = 4 * unit + reg;
    Value word = b.shift(words[plane][at / perByte], width * (at % perByte) - offset);
    all = width == 8 ? word : join(word, (((int64_t(1) << width) - 1) << offset) * 0x01010101, all);
    offset += width;
  }
  return all;
}

/// Bytes with the codes of registers 2 half and 2 half + 1 in their nibbles.
Value FragmentDecoder::nibbles(const Words &words, int64_t unit, int64_t half) {
  if (planes.size() == 1 && planes[0] == 4)
    return words[0][2 * unit + half];
  return b.bitOr(codes(words, unit, 2 * half), b.shiftLeft(codes(words, unit, 2 * half + 1), 4));
}

Value FragmentDecoder::byteOf(Value word, int64_t byte) {
  return byte == 3 ? b.shiftRight(word, 24) : b.bitAnd(b.shiftRight(word, 8 * byte), 255);
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

Value FragmentDecoder::bytesFragment(const Words &words, int64_t unit) {
  SmallVector<Value> registers;
  for (int64_t half = 0; half < 2; ++half) {
    if (!plan.format.isTable()) {
      registers.push_back(codes(words, unit, 2 * half));
      registers.push_back(codes(words, unit, 2 * half + 1));
      continue;
    }
    Value pairs = nibbles(words, unit, half);
    auto permute = [&](Value l, Value r, int64_t selector) -> Value {
      return gpu::PermuteBytesOp::create(b, l, r, static_cast<int32_t>(selector));
    };
    SmallVector<Value> looked;
    for (int64_t byte = 0; byte < 4; ++byte)
      looked.push_back(b.load(table, byteOf(pairs, byte)));
    Value low = permute(looked[0], looked[1], 0x5410), high = permute(looked[2], looked[3], 0x5410);
    registers.push_back(permute(low, high, 0x6420));
    registers.push_back(permute(low, high, 0x7531));
  }
  return b.pack(registers);
}

bool FragmentDecoder::isOffsetBF16() const {
  return plan.form == FragmentPlan::Form::BF16 && !plan.format.isTable() && !isSign() && !isBytesBF16();
}

int64_t FragmentDecoder::upperShift() const {
  return isOffsetBF16() && planes.size() == 1 && 2 * plan.format.bits <= 7 ? plan.format.bits : 0;
}

bool FragmentDecoder::hasOffset() const {
  if (plan.form == FragmentPlan::Form::BF16)
    return isOffsetBF16() || plan.zero != ZeroPointType::None;
  return true;
}

Value FragmentDecoder::bf16Bytes(const Words &words, int64_t unit, int64_t step, int64_t reg) {
  // The byte as the lowest of the f32 2^23 + byte; differences to 2^23 and the zero point are exact in bf16, the upper
  // half of an f32.
  Value word = words[0][4 * unit + reg], exponent = b.i32(0x4b000000);
  auto weight = [&](int64_t byte) -> Value {
    Value bits = gpu::PermuteBytesOp::create(b, word, exponent, static_cast<int32_t>(0x7540 | byte));
    return b.bits(b.subF(b.asFloat(bits), b.f32(8388608.0f + static_cast<float>(plan.staticZero()))));
  };
  return gpu::PermuteBytesOp::create(b, weight(step), weight(step + 2), 0x7632);
}

Value FragmentDecoder::bf16Fragment(const Words &words, int64_t unit, int64_t step) {
  SmallVector<Value> registers;
  if (plan.format.isTable()) {
    for (int64_t half = 0; half < 2; ++half) {
      Value pairs = nibbles(words, unit, half);
      Value low = b.load(table, byteOf(pairs, step)), high = b.load(table, byteOf(pairs, step + 2));
      registers.push_back(gpu::PermuteBytesOp::create(b, low, high, 0x5410));
      registers.push_back(gpu::PermuteBytesOp::create(b, low, high, 0x7632));
    }
    return b.pack(registers);
  }
  for (int64_t reg = 0; reg < 4; ++reg) {
    if (isBytesBF16())
      registers.push_back(bf16Bytes(words, unit, step, reg));
    else if (isSign())
      // The bit, where it is the sign of a bf16: 1 becomes +1.
      registers.push_back(halves(words, unit, reg, step, 15, b.i32(0xbf80bf80)));
    else
      registers.push_back(halves(words, unit, reg, step, reg % 2 * upperShift(), b.i32(0x43004300)));
  }
  return b.pack(registers);
}

Value FragmentDecoder::exactFragment(const Words &words, int64_t unit, int64_t step) {
  Value fragment = bf16Fragment(words, unit, step);
  if (!isOffsetBF16())
    return fragment;
  SmallVector<Value> registers;
  for (int64_t reg = 0; reg < 4; ++reg) {
    const int64_t offset = 128 + (plan.staticZero() << (reg % 2 * upperShift()));
    // The upper half of the f32, of which eight bits of a number of eight are all.
    const int64_t bits = llvm::bit_cast<uint32_t>(-static_cast<float>(offset)) >> 16;
    registers.push_back(gpu::AddPairOp::create(b, b.element(fragment, reg), b.i32(bits * 0x00010001)));
  }
  return b.pack(registers);
}

Value FragmentDecoder::f32Weight(Value code, Value zero) {
  if (plan.format.isTable())
    return b.load(table, code);
  if (isSign())
    return b.asFloat(b.bitXor(b.shiftLeft(code, 31), 0xbf800000));
  Value value = b.toFloat(code);
  if (plan.staticZero())
    return b.subF(value, b.f32(static_cast<float>(plan.staticZero())));
  return b.subF(value, zero);
}

Value FragmentDecoder::finish(Value sum, Value activationSum, Value zero, bool isUpper) {
  if (plan.form == FragmentPlan::Form::I8) {
    if (isSign())
      return b.toFloat(b.sub(b.shiftLeft(sum, 1), activationSum));
    if (zero)
      return b.fma(zero, arith::NegFOp::create(b, b.toFloat(activationSum)), b.toFloat(sum));
    const int64_t common = plan.format.isTable() ? 128 : plan.staticZero();
    return b.toFloat(b.sub(sum, b.mul(activationSum, common)));
  }
  if (!hasOffset())
    return sum;
  const float unit = isUpper ? static_cast<float>(1 << upperShift()) : 1.0f;
  Value offset;
  if (!zero)
    offset = b.f32(128.0f + unit * static_cast<float>(plan.staticZero()));
  else if (isOffsetBF16())
    offset = b.fma(zero, b.f32(unit), b.f32(128.0f));
  else
    offset = zero;
  return b.fma(arith::NegFOp::create(b, offset), activationSum, sum);
}

//===----------------------------------------------------------------------===//
// Scales and zero points
//===----------------------------------------------------------------------===//

Value FragmentDecoder::perUnit(Value scale) {
  return upperShift() ? b.mulF(scale, b.f32(1.0f / static_cast<float>(1 << upperShift()))) : scale;
}

FragmentDecoder::Pair FragmentDecoder::loadScales(Value block, Value segment, Value g) {
  Value row = b.add(b.mul(b.add(b.mul(b.wide(block), plan.layout.segments()), b.wide(segment)), 8), b.wide(g));
  if (plan.scaleType.isF32()) {
    Value pair = b.load(b.vec(b.getF32Type(), 2), buffers.scales, b.mul(row, 2));
    return {b.element(pair, 0), perUnit(b.element(pair, 1))};
  }
  Value pair = b.load(buffers.scales, row);
  gpu::Half half = plan.scaleType.isF16() ? gpu::Half::F16 : gpu::Half::BF16;
  Value upper = gpu::ExtendOp::create(b, half, b.shiftRight(pair, 16));
  return {gpu::ExtendOp::create(b, half, pair), perUnit(upper)};
}

FragmentDecoder::Pair FragmentDecoder::loadZeros(Value block, Value segment, Value g) {
  if (plan.zero == ZeroPointType::None)
    return {};
  Value row = b.add(b.mul(b.add(b.mul(b.wide(block), plan.layout.segments()), b.wide(segment)), 8), b.wide(g));
  if (plan.zero == ZeroPointType::F32) {
    Value pair = b.load(b.vec(b.getF32Type(), 2), buffers.zeros, b.mul(row, 2));
    return {b.element(pair, 0), b.element(pair, 1)};
  }
  Value pair = b.load(buffers.zeros, row);
  return {b.toFloat(b.bitAnd(pair, 255)), b.toFloat(b.shiftRight(pair, 8))};
}
