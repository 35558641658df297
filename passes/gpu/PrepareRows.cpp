// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Converts rows of activations to the panel that a linear kernel copies from: cuda::PrepareFn. A block of threads has
// one row.
#include "passes/gpu/FragmentPlan.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/bit.h"

#include <limits>
#include <optional>

using namespace mlir;
using namespace bq;

namespace {

class PrepareRows {
public:
  PrepareRows(GpuBuilder &b, const FragmentPlan &plan, StringRef name) : b(b), plan(plan) {
    Type f32 = b.getF32Type(), i32 = b.getI32Type();
    SmallVector<Type> types = {b.floatPointer(plan.dataType),
                               b.pointer(i32),
                               b.pointer(f32),
                               b.pointer(f32),
                               b.pointer(i32),
                               b.pointer(f32),
                               b.getI64Type(),
                               i32};
    const unsigned own = types.size();
    if (plan.hasPatches())
      FragmentBuffers::addPatchTypes(b, types);
    func::FuncOp func = b.kernel(name, types, {FragmentPlan::threads, /*rowsPerBlock=*/1});
    buffers.x = func.getArgument(0);
    buffers.permutation = func.getArgument(1);
    buffers.columnScale = func.getArgument(2);
    buffers.activationScale = func.getArgument(3);
    panel = func.getArgument(4);
    rowScales = func.getArgument(5);
    buffers.xStride = func.getArgument(6);
    if (plan.hasPatches())
      buffers.takePatches(func, own);
    row = b.block(gpu::Dimension::X);
    reader.emplace(b, plan, buffers);
    source = reader->rowOf(row);
  }

  void write() {
    if (plan.staticBits)
      writeStatic();
    else if (plan.hasRowScales)
      writeFixedPoint();
    else
      forEachPiece([&](Value piece, ArrayRef<Value> values) { storeHalves(piece, values); });
  }

private:
  /// body(number of the piece, its eight values), each piece by one thread.
  void forEachPiece(function_ref<void(Value piece, ArrayRef<Value> values)> body) {
    b.loop(b.thread(), b.i32(plan.layout.paddedColumns() / 8), b.i32(FragmentPlan::threads),
           [&](Value piece) { body(piece, reader->read(source, b.mul(piece, 8))); });
  }

  /// The first of the `words` words of a piece.
  Value at(Value piece, int64_t words) {
    const int64_t rowWords = plan.layout.paddedColumns() / 8 * words;
    return b.add(b.mul(b.wide(row), rowWords), b.wide(b.mul(piece, words)));
  }

  void writeFixedPoint() {
    // |x| as bits: their order is that of the values, with infinity and NaN above all.
    auto greater = [&](Value l, Value r) { return b.max(l, r); };
    const int64_t pieces = plan.layout.paddedColumns() / 8;
    // Once for the greatest and once for the codes, by one loop: reading is most of the code.
    Value bits = b.loop(b.i32(0), b.i32(2), b.i32(1), b.i32(0), [&](Value pass, ValueRange found) {
      const Scaling scaling = scalingOf(found[0]);
      Value writes = b.equal(pass, b.i32(1));
      Value seen = b.loop(b.thread(), b.i32(pieces), b.i32(FragmentPlan::threads), b.i32(0),
                          [&](Value piece, ValueRange carried) {
                            SmallVector<Value> values = reader->read(source, b.mul(piece, 8));
                            Value most = carried[0];
                            for (Value value : values)
                              most = greater(most, b.bitAnd(b.bits(value), 0x7fffffff));
                            b.when(writes, [&] { storeCodes(piece, encode(values, scaling)); });
                            return SmallVector<Value>{most};
                          })[0];
      return SmallVector<Value>{b.reduceBlock(seen, FragmentPlan::threads, greater)};
    })[0];
    b.when(b.equal(b.thread(), b.i32(0)), [&] {
      const Scaling scaling = scalingOf(bits);
      Value nan = b.f32(std::numeric_limits<float>::quiet_NaN());
      Value scale = b.mulF(b.divF(scaling.greatest, b.f32(127.0f)), scaling.unlift);
      b.store(b.select(scaling.isFinite, scale, nan), rowScales, row);
    });
  }

  /// From values to codes: lifted, then times `inverse`. The scale is that of `greatest`, a lifted value, without lift.
  struct Scaling {
    Value isFinite, lift, unlift, greatest, inverse;
  };
  Scaling scalingOf(Value bits) {
    Value isFinite = b.lessThan(bits, b.i32(0x7f800000));
    Value isUsable = b.both(isFinite, b.lessThan(b.i32(0), bits));
    // Small rows are lifted by 2^64 first, or the inverse of their scale would overflow.
    Value isSmall = b.lessThan(bits, b.i32(llvm::bit_cast<int32_t>(0x1p-64f)));
    Value lift = b.select(isSmall, b.f32(0x1p64f), b.f32(1.0f));
    Value unlift = b.select(isSmall, b.f32(0x1p-64f), b.f32(1.0f));
    Value greatest = b.mulF(b.asFloat(bits), lift);
    return {isFinite, lift, unlift, greatest, b.select(isUsable, b.divF(b.f32(127.0f), greatest), b.f32(0.0f))};
  }

  SmallVector<Value> encode(ArrayRef<Value> values, const Scaling &scaling) {
    SmallVector<Value> codes;
    for (Value value : values) {
      Value finite = b.select(scaling.isFinite, value, b.f32(0.0f));
      codes.push_back(rounded(b.mulF(b.mulF(finite, scaling.lift), scaling.inverse)));
    }
    return codes;
  }

  /// Adding 1.5 * 2^23 rounds to nearest, ties to even, and leaves the integer in the low bits.
  Value rounded(Value value) { return b.addF(value, b.f32(0x1.8p23f)); }

  /// Each value is a code when it has been rounded.
  void writeStatic() {
    auto greater = [&](Value l, Value r) { return b.max(l, r); };
    const int64_t pieces = plan.layout.paddedColumns() / 8;
    Value seen =
        b.loop(b.thread(), b.i32(pieces), b.i32(FragmentPlan::threads), b.i32(0), [&](Value piece, ValueRange carried) {
          Value most = carried[0];
          SmallVector<Value> codes;
          for (Value value : reader->read(source, b.mul(piece, 8))) {
            most = greater(most, b.bitAnd(b.bits(value), 0x7fffffff));
            codes.push_back(rounded(value));
          }
          storeCodes(piece, codes);
          return SmallVector<Value>{most};
        })[0];
    Value bits = b.reduceBlock(seen, FragmentPlan::threads, greater);
    b.when(b.equal(b.thread(), b.i32(0)), [&] {
      Value nan = b.f32(std::numeric_limits<float>::quiet_NaN()), scale = b.load(buffers.activationScale, b.i32(0));
      b.store(b.select(b.lessThan(b.i32(0x7f800000), bits), nan, scale), rowScales, row);
    });
  }

  /// Eight codes that rounded() gave.
  void storeCodes(Value piece, ArrayRef<Value> codes) {
    SmallVector<Value> values;
    const bool isByte = plan.form == FragmentPlan::Form::I8;
    for (Value code : codes)
      values.push_back(isByte ? b.bits(code) : b.subF(code, b.f32(0x1.8p23f)));
    if (isByte)
      storeBytes(piece, values);
    else
      storeHalves(piece, values);
  }

  void storeHalves(Value piece, ArrayRef<Value> values) {
    SmallVector<Value> words;
    for (int64_t i = 0; i < 4; ++i)
      words.push_back(gpu::RoundPairOp::create(b, values[2 * i], values[2 * i + 1]));
    b.store(b.pack(words), panel, at(piece, 4));
  }

  /// The low bytes of eight words.
  void storeBytes(Value piece, ArrayRef<Value> bytes) {
    auto join = [&](int64_t i, int64_t j, int64_t k, int64_t l) -> Value {
      Value low = gpu::PermuteBytesOp::create(b, bytes[i], bytes[j], 0x0040);
      Value high = gpu::PermuteBytesOp::create(b, bytes[k], bytes[l], 0x0040);
      return gpu::PermuteBytesOp::create(b, low, high, 0x5410);
    };
    b.store(b.pack({join(0, 4, 1, 5), join(2, 6, 3, 7)}), panel, at(piece, 2));
  }

  GpuBuilder &b;
  const FragmentPlan &plan;
  FragmentBuffers buffers;
  std::optional<ActivationReader> reader;
  Value panel, rowScales, row;
  ActivationReader::Row source;
};

} // namespace

void bq::writePrepareRows(GpuBuilder &b, const FragmentPlan &plan, StringRef name) {
  PrepareRows(b, plan, name).write();
}
