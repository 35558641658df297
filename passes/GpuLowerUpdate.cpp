// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/CudaUpdateAbi.h"
#include "dialect/core/KernelAbi.h"
#include "passes/Passes.h"
#include "passes/SoleOp.h"
#include "passes/cpu/ExpandPhilox.h"
#include "passes/gpu/StepCodes.h"
#include "passes/gpu/StepKernel.h"
#include "passes/gpu/StepRandom.h"

#include "mlir/IR/TypeUtilities.h"
#include "mlir/Transforms/WalkPatternRewriteDriver.h"

namespace bq {
#define GEN_PASS_DEF_GPULOWERUPDATE
#include "passes/Passes.h.inc"
} // namespace bq

using namespace mlir;
using namespace bq;

namespace {

constexpr int64_t columns = StepPiece::columns;

/// What a kernel does of a step; a scale that spans the tensor takes two kernels.
enum class StepPart { Whole, Moments, Codes };

/// Writes cuda::GradientCheckFn.
void writeCheck(GpuBuilder &b, Type dataType, StringRef name) {
  RowKernel rows(b, cuda::gradientChunk, cuda::gradientChunk);
  Type i64 = b.getI64Type();
  func::FuncOp func = rows.begin(name, {b.floatPointer(dataType), b.pointer(i64), b.pointer(i64), i64, i64});
  Value gradient = func.getArgument(0), found = func.getArgument(1), report = func.getArgument(2);
  Value ticket = func.getArgument(3), count = func.getArgument(4);
  Value chunk = b.mul(b.wide(b.block(gpu::Dimension::X)), cuda::gradientChunk);
  Value length = arith::TruncIOp::create(b, b.getI32Type(), b.min(b.sub(count, chunk), b.i64(cuda::gradientChunk)));
  const int64_t magnitude = dataType.isF32() ? 0x7fffffff : 0x7fff;
  const int64_t infinity = dataType.isF32() ? 0x7f800000 : dataType.isF16() ? 0x7c00 : 0x7f80;
  rows.forEachRound([&](const RowRound &round) {
    StepPiece piece(b, round, length, cuda::gradientChunk);
    // What is not all there and aligned is looked at one by one, and so is what holds one of them somewhere.
    auto look = [&] {
      Value most = b.i32(0);
      for (Value word : loadVectors(b, gradient, piece))
        for (Value bits :
             dataType.isF32() ? GpuBuilder::Values{b.bits(word)} : GpuBuilder::Values{word, b.shiftRight(word, 16)})
          most = b.max(most, b.bitAnd(bits, magnitude));
      return most;
    };
    Value most = b.choose(piece.isVector(b, gradient), look, [&] { return b.i32(infinity); });
    auto isBad = [&](Value bits) { return b.lessThan(b.i32(infinity - 1), bits); };
    b.when(isBad(most), [&] {
      Value there = b.min(b.sub(length, piece.first), b.i32(columns));
      b.loop(b.i32(0), there, b.i32(1), [&](Value i) {
        Value at = b.add(piece.at, b.wide(i)), element = b.load(gradient, at);
        b.when(isBad(b.bitAnd(dataType.isF32() ? b.bits(element) : element, magnitude)), [&] {
          Value place = b.add(ticket, at);
          b.store(place, found, b.i32(0));
          b.store(place, report, b.i32(0));
        });
      });
    });
  });
}

/// Writes cuda::TensorScaleFn.
void writeTensorScale(GpuBuilder &b, Type scaleType, StringRef name) {
  constexpr int64_t threads = 128;
  func::FuncOp func = b.kernel(name, {b.pointer(b.getF32Type()), b.getI64Type()}, {threads, 1, 1, 1});
  Value scales = func.getArgument(0), count = func.getArgument(1);
  Value rows = arith::TruncIOp::create(b, b.getI32Type(), count);
  auto greater = [&](Value l, Value r) { return b.maxF(l, r); };
  Value most = b.loop(b.thread(), rows, b.i32(threads), b.f32(0.0f), [&](Value row, ValueRange carried) {
    return SmallVector<Value>{greater(carried[0], b.load(scales, row))};
  })[0];
  most = b.reduceBlock(most, threads, greater);
  Value isZero = b.compareF(arith::CmpFPredicate::OEQ, most, b.f32(0.0f));
  Value scale = StepCodes::storedScale(b, most, isZero, scaleType);
  b.when(b.equal(b.thread(), b.i32(0)), [&] { b.store(scale, scales, rows); });
}

/// Writes cuda::UpdateFn.
class UpdateRows {
public:
  UpdateRows(GpuBuilder &b, UpdateOp op, StringRef name, StepPart part)
      : b(b), op(op), packed(op.getPackedType()), part(part),
        rows(b, rowColumns(), packed ? packed.getFormat().groupSize(rowColumns()) : rowColumns(), stepUnit) {
    func = rows.begin(name, argumentTypes());
    numbers = {argument(13), argument(14), argument(15), argument(16), argument(17), argument(18), argument(19)};
  }

  void write() {
    Value isFine = b.equal(b.load(argument(10), b.i32(0)), b.i64(0));
    b.when(isFine, [&] {
      StepRandom random(b, argument(20), argument(21), argument(22));
      StepMoments moments(b, op, numbers, {argument(0), argument(6), argument(7), argument(8), argument(9)}, random,
                          /*isStepped=*/part == StepPart::Codes);
      packed ? writePacked(moments, random) : writeDense(moments, random);
    });
  }

private:
  int64_t rowColumns() const { return packed ? packed.getK() : abi::denseUpdateRow; }
  Value argument(unsigned i) { return func.getArgument(i); }

  SmallVector<Type> argumentTypes() {
    Type f32 = b.getF32Type(), i8 = b.getI8Type(), i32 = b.getI32Type(), i64 = b.getI64Type();
    Type weightType = packed ? f32 : getElementTypeOrSelf(op.getWeight().getType());
    Type zeroType = packed && packed.getZero() == ZeroPointType::F32 ? f32 : i8;
    Type momentType = op.getMomentType() == MomentType::None ? f32 : getElementTypeOrSelf(op.getState().front());
    Type moments = momentType.isInteger(8) ? Type(b.pointer(i8)) : Type(b.floatPointer(momentType));
    SmallVector<Type> types = {b.floatPointer(getElementTypeOrSelf(op.getGradient().getType())),
                               b.floatPointer(weightType),
                               b.pointer(i8),
                               b.floatPointer(packed ? packed.getScale() : f32),
                               b.pointer(zeroType),
                               b.pointer(i8),
                               moments,
                               b.pointer(f32),
                               moments,
                               b.pointer(f32),
                               b.pointer(i64),
                               b.pointer(f32),
                               b.pointer(f32)};
    types.append(7, f32);
    types.append(3, i32);
    types.push_back(i64);
    return types;
  }

  void writeDense(StepMoments &moments, StepRandom &random) {
    Type type = getElementTypeOrSelf(op.getWeight().getType());
    rows.forEachRound([&](const RowRound &round) {
      Value left = b.sub(argument(23), b.mul(b.wide(round.row), rowColumns()));
      Value last = arith::TruncIOp::create(b, b.getI32Type(), b.min(left, b.i64(rowColumns())));
      StepPiece piece(b, round, last, rowColumns());
      if (moments.isRandom())
        random.write(round, /*forMoments=*/true, /*forWeights=*/false);
      SmallVector<StepTrack> tracks = moments.tracks(piece);
      tracks.push_back(StepTrack::inMemory(argument(1), /*isLoaded=*/true, /*isStored=*/true));
      forEachHalf(b, piece, tracks, [&](const StepHalf &half, MutableArrayRef<StepTrack::Words> fronts) {
        SmallVector<Value> directions = moments.directions(half, fronts.drop_back());
        SmallVector<Value> weights = floatsOf(b, type, fronts.back());
        Value rate = moments.unit() ? b.mulF(numbers.rate, moments.unit()) : numbers.rate;
        for (auto [weight, direction] : llvm::zip(weights, directions))
          weight = b.mulF(b.fma(b.negF(direction), rate, weight), numbers.keep);
        fronts.back() = wordsOfFloats(b, type, weights);
      });
    });
  }

  /// Where the new values of a block wait for its new scales.
  struct Waiting {
    Value memory;
    bool isShared;
  };
  Waiting makeWaiting() {
    if (!updateValueBytes(op))
      return {b.shared(b.getF32Type(), llvm::alignTo(rows.columnsPerBlock(), columns)), true};
    return {argument(12), false};
  }
  Value placeOf(const Waiting &waiting, Value row, Value column) {
    if (waiting.isShared)
      return rows.columnInBlock(column);
    return b.add(b.mul(b.wide(row), updateValueBytes(op) / 4), b.wide(column));
  }

  void writePacked(StepMoments &moments, StepRandom &random) {
    StepCodes codes(b, op, rows, numbers, {argument(2), argument(3), argument(4), argument(5)});
    const bool hasRange = part != StepPart::Codes && op.getScaling().getValue() != ScaleUpdate::Keep;
    const bool forMoments = moments.isRandom();
    const bool forWeights = op.getRounding().getValue() != Rounding::Nearest && part != StepPart::Moments;
    codes.loadGroups();
    if (part == StepPart::Codes) {
      // What the groups have is read before the scale is written.
      b.barrier();
      codes.setScale(b.load(argument(11), argument(23)));
    }
    b.barrier();
    Waiting waiting = hasRange ? makeWaiting() : Waiting();
    rows.forEachRound([&](const RowRound &round) {
      StepPiece piece(b, round, round.last, rowColumns());
      const bool storesNow = !hasRange;
      if (forMoments || (forWeights && storesNow))
        random.write(round, forMoments, forWeights && storesNow);
      SmallVector<StepTrack> tracks = moments.tracks(piece);
      const size_t momentTracks = tracks.size();
      tracks.append(codes.tracks(piece, /*isLoaded=*/true, /*isStored=*/storesNow));
      auto step = [&](const StepHalf &half, MutableArrayRef<StepTrack::Words> fronts) {
        MutableArrayRef<StepTrack::Words> codeFronts = fronts.drop_front(momentTracks);
        SmallVector<Value> directions = moments.directions(half, fronts.take_front(momentTracks));
        SmallVector<Value> values = codes.values(half, directions, moments.unit(), codeFronts);
        if (storesNow)
          codes.encode(half, values, forWeights ? random.weights(half.number) : SmallVector<Value>(), codeFronts);
        else
          keep(waiting, half, values);
      };
      SmallVector<StepTrack::Words> after = forEachHalf(b, piece, tracks, step);
      if (storesNow)
        codes.storeCodes(piece, after[momentTracks]);
    });
    if (!hasRange)
      return;
    b.barrier();
    rows.forEachGroup([&](const RowGroup &group) {
      auto load = [&](Value column) { return b.load(waiting.memory, placeOf(waiting, group.row, column)); };
      if (part == StepPart::Moments)
        codes.wantScale(group, load, [&](Value wanted) { b.store(wanted, argument(11), group.row); });
      else
        codes.regroup(group, load);
    });
    if (part == StepPart::Moments)
      return;
    b.barrier();
    rows.forEachRound([&](const RowRound &round) {
      StepPiece piece(b, round, round.last, rowColumns());
      if (forWeights)
        random.write(round, /*forMoments=*/false, /*forWeights=*/true);
      auto encode = [&](const StepHalf &half, MutableArrayRef<StepTrack::Words> fronts) {
        codes.encode(half, kept(waiting, half), forWeights ? random.weights(half.number) : SmallVector<Value>(),
                     fronts);
      };
      SmallVector<StepTrack> tracks = codes.tracks(piece, /*isLoaded=*/false, /*isStored=*/true);
      codes.storeCodes(piece, forEachHalf(b, piece, tracks, encode)[0]);
    });
  }

  void keep(const Waiting &waiting, const StepHalf &half, ValueRange values) {
    b.when(half.isThere(b, 0),
           [&] { b.store(b.pack(values), waiting.memory, placeOf(waiting, half.row, half.first)); });
  }
  SmallVector<Value> kept(const Waiting &waiting, const StepHalf &half) {
    auto load = [&] {
      SmallVector<Value> values;
      Value four =
          b.load(b.vec(b.getF32Type(), StepHalf::columns), waiting.memory, placeOf(waiting, half.row, half.first));
      for (int64_t i = 0; i < StepHalf::columns; ++i)
        values.push_back(b.element(four, i));
      return values;
    };
    return b.chooseAll(half.isThere(b, 0), load, [&] { return SmallVector<Value>(StepHalf::columns, b.f32(0.0f)); });
  }

  GpuBuilder &b;
  UpdateOp op;
  WeightType packed;
  StepPart part;
  RowKernel rows;
  func::FuncOp func;
  StepNumbers numbers;
};

struct GpuLowerUpdate : bq::impl::GpuLowerUpdateBase<GpuLowerUpdate> {
  void runOnOperation() override {
    auto lower = [&](func::FuncOp func, UpdateOp op) {
      auto builderFor = [&](OpBuilder &builder) { return GpuBuilder(op.getLoc(), builder); };
      auto write = [&](const Twine &name, auto writeBody) {
        OpBuilder builder(func);
        GpuBuilder b = builderFor(builder);
        writeBody(b, name.str());
      };
      auto writeRows = [&](const Twine &name, StepPart part) {
        write(name, [&](GpuBuilder &b, const std::string &text) { UpdateRows(b, op, text, part).write(); });
      };
      write(func.getName() + "_check", [&](GpuBuilder &b, const std::string &text) {
        writeCheck(b, getElementTypeOrSelf(op.getGradient().getType()), text);
      });
      const bool isApart = op.getScaling().getValue() == ScaleUpdate::Tensor;
      if (isApart) {
        writeRows(func.getName() + "_moments", StepPart::Moments);
        write(func.getName() + "_scale", [&](GpuBuilder &b, const std::string &text) {
          writeTensorScale(b, op.getPackedType().getScale(), text);
        });
      }
      writeRows(func.getName(), isApart ? StepPart::Codes : StepPart::Whole);
      return success();
    };
    if (failed(lowerSoleOps<UpdateOp>(getOperation(), lower)))
      return signalPassFailure();
    RewritePatternSet patterns(&getContext());
    populateExpandPhiloxPatterns(patterns);
    walkAndApplyPatterns(getOperation(), std::move(patterns));
  }
};

} // namespace
