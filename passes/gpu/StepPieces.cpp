// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "passes/gpu/StepPieces.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace bq;

using Words = StepTrack::Words;
static constexpr int64_t columns = StepPiece::columns;

StepPiece::StepPiece(GpuBuilder &b, const RowRound &round, Value last, int64_t rowColumns)
    : row(round.row), last(last) {
  first = b.add(round.first, b.mul(b.thread(), columns));
  at = b.add(b.mul(b.wide(row), rowColumns), b.wide(first));
  isWhole = b.lessThan(b.add(first, columns - 1), last);
}

static Type elementOf(Value pointer) { return cast<gpu::PtrType>(pointer.getType()).getElement(); }
static int64_t bitsOf(Value pointer) { return elementOf(pointer).getIntOrFloatBitWidth(); }

Value StepPiece::isVector(GpuBuilder &b, ValueRange pointers) const {
  Value over;
  for (Value pointer : pointers) {
    const int64_t bytes = bitsOf(pointer) / 8;
    Value address = b.add(gpu::AddressOp::create(b, pointer), b.mul(at, bytes));
    Value part = b.bitAnd(address, std::min<int64_t>(16, bytes * columns) - 1);
    over = over ? b.bitOr(over, part) : part;
  }
  return b.both(isWhole, b.equal(over, b.i64(0)));
}

StepTrack StepTrack::inMemory(Value pointer, bool isLoaded, bool isStored) {
  StepTrack track(Words(columns * bitsOf(pointer) / 32));
  track.pointer = pointer;
  track.isLoaded = isLoaded;
  track.isStored = isStored;
  return track;
}

//===----------------------------------------------------------------------===//
// Words
//===----------------------------------------------------------------------===//

static Words unpack(GpuBuilder &b, ValueRange words, int64_t bits) {
  const int64_t perWord = 32 / bits;
  Words values;
  for (Value word : words)
    for (int64_t i = 0; i < perWord; ++i) {
      Value shifted = b.shiftRight(word, i * bits);
      values.push_back(i == perWord - 1 ? shifted : b.bitAnd(shifted, (1 << bits) - 1));
    }
  return values;
}

Words bq::wordsOfBits(GpuBuilder &b, ValueRange values, int64_t bits) {
  const int64_t perWord = 32 / bits;
  Words words;
  for (auto [i, value] : llvm::enumerate(values)) {
    const int64_t place = static_cast<int64_t>(i) % perWord;
    Value low = place == perWord - 1 ? value : b.bitAnd(value, (1 << bits) - 1);
    if (place)
      words.back() = b.bitOr(words.back(), b.shiftLeft(low, place * bits));
    else
      words.push_back(low);
  }
  return words;
}

Words bq::floatsOf(GpuBuilder &b, Type element, ValueRange words) {
  if (element.isF32())
    return Words(words);
  Words values = unpack(b, words, 16);
  for (Value &value : values)
    value = gpu::ExtendOp::create(b, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value);
  return values;
}

Words bq::wordsOfFloats(GpuBuilder &b, Type element, ValueRange values) {
  if (element.isF32())
    return Words(values);
  Words bits;
  for (Value value : values)
    bits.push_back(gpu::RoundOp::create(b, element.isF16() ? gpu::Half::F16 : gpu::Half::BF16, value));
  return wordsOfBits(b, bits, 16);
}

Words bq::bytesOf(GpuBuilder &b, ValueRange words, bool isSigned) {
  if (!isSigned)
    return unpack(b, words, 8);
  Words values;
  for (Value word : words)
    for (int64_t i = 0; i < 4; ++i)
      values.push_back(b.shiftRightSigned(b.shiftLeft(word, 24 - 8 * i), 24));
  return values;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Words bq::loadVectors(GpuBuilder &b, Value pointer, const StepPiece &piece) {
  const int64_t words = columns * bitsOf(pointer) / 32, count = std::min<int64_t>(words, 4);
  Type type = b.vec(bitsOf(pointer) == 32 ? elementOf(pointer) : b.getI32Type(), count);
  Words loaded;
  for (int64_t first = 0; first < words; first += count) {
    Value vector = b.load(type, pointer, b.add(piece.at, first));
    for (int64_t i = 0; i < count; ++i)
      loaded.push_back(b.element(vector, i));
  }
  return loaded;
}

namespace {

/// The tensors among the tracks of a loop over halves, and which way their elements go.
class Halves {
public:
  Halves(GpuBuilder &b, const StepPiece &piece, ArrayRef<StepTrack> tracks) : b(b), piece(piece), tracks(tracks) {
    SmallVector<Value> pointers;
    for (const StepTrack &track : tracks)
      if (track.pointer)
        pointers.push_back(track.pointer);
    if (!pointers.empty())
      isVector = piece.isVector(b, pointers);
  }

  /// The words of all tracks, one after the other; 0 where an element is for itself.
  Words load() {
    Words loaded, all;
    if (anyOf(&StepTrack::isLoaded))
      loaded = b.chooseAll(isVector, [&] { return vectors(); }, [&] { return zeros(); });
    for (const StepTrack &track : tracks) {
      const size_t count = track.words.size();
      if (track.isLoaded) {
        all.append(loaded.begin(), loaded.begin() + count);
        loaded.erase(loaded.begin(), loaded.begin() + count);
      } else {
        all.append(track.pointer ? Words(count, zeroOf(track)) : track.words);
      }
    }
    return all;
  }

  /// Brings elements of a half that are for themselves.
  void loadElements(const StepHalf &half, MutableArrayRef<Words> fronts) {
    if (!anyOf(&StepTrack::isLoaded))
      return;
    auto carried = [&] {
      Words words;
      forEach(&StepTrack::isLoaded, [&](size_t i) { words.append(fronts[i]); });
      return words;
    };
    auto elements = [&] {
      // In place of an element that is not there the row's last is read, so that nothing branches.
      Value most = b.sub(b.sub(piece.last, piece.first), 1);
      SmallVector<Value> places, isThere;
      for (int64_t i = 0; i < StepHalf::columns; ++i) {
        Value number = b.add(b.mul(half.number, StepHalf::columns), i);
        places.push_back(b.add(piece.at, b.wide(b.min(number, most))));
        isThere.push_back(half.isThere(b, i));
      }
      Words words;
      forEach(&StepTrack::isLoaded, [&](size_t track) {
        Words values;
        for (int64_t i = 0; i < StepHalf::columns; ++i)
          values.push_back(b.select(isThere[i], b.load(tracks[track].pointer, places[i]), zeroOf(tracks[track])));
        const int64_t bits = bitsOf(tracks[track].pointer);
        words.append(bits == 32 ? values : wordsOfBits(b, values, bits));
      });
      return words;
    };
    const Words chosen = b.chooseAll(isVector, carried, elements);
    ValueRange rest = chosen;
    forEach(&StepTrack::isLoaded, [&](size_t i) {
      const size_t count = fronts[i].size();
      fronts[i] = Words(rest.take_front(count));
      rest = rest.drop_front(count);
    });
  }

  /// Stores elements of a half that are for themselves.
  void storeElements(const StepHalf &half, ArrayRef<Words> fronts) {
    if (!anyOf(&StepTrack::isStored))
      return;
    auto elements = [&] {
      Value first = b.add(piece.at, b.wide(b.mul(half.number, StepHalf::columns)));
      for (int64_t i = 0; i < StepHalf::columns; ++i)
        b.when(half.isThere(b, i), [&] {
          forEach(&StepTrack::isStored, [&](size_t track) {
            Value pointer = tracks[track].pointer;
            const int64_t bits = bitsOf(pointer), perWord = 32 / bits;
            // A store takes the low bits.
            Value word = fronts[track][i / perWord];
            b.store(bits == 32 ? word : b.shiftRight(word, i % perWord * bits), pointer, b.add(first, i));
          });
        });
    };
    b.when(isVector, [] {}, elements);
  }

  /// Stores the words of all tracks, where no element was for itself.
  void store(ArrayRef<Words> all) {
    if (!anyOf(&StepTrack::isStored))
      return;
    b.when(isVector, [&] {
      forEach(&StepTrack::isStored, [&](size_t track) {
        ValueRange words = all[track];
        const size_t count = std::min<size_t>(words.size(), 4);
        for (size_t first = 0; first < words.size(); first += count)
          b.store(b.pack(words.slice(first, count)), tracks[track].pointer,
                  b.add(piece.at, static_cast<int64_t>(first)));
      });
    });
  }

private:
  bool anyOf(bool StepTrack::*what) const {
    return llvm::any_of(tracks, [&](const StepTrack &track) { return track.*what; });
  }
  void forEach(bool StepTrack::*what, function_ref<void(size_t)> body) {
    for (size_t i = 0; i < tracks.size(); ++i)
      if (tracks[i].*what)
        body(i);
  }
  Value zeroOf(const StepTrack &track) { return elementOf(track.pointer).isF32() ? b.f32(0.0f) : b.i32(0); }
  Words zeros() {
    Words words;
    forEach(&StepTrack::isLoaded, [&](size_t i) { words.append(tracks[i].words.size(), zeroOf(tracks[i])); });
    return words;
  }
  Words vectors() {
    Words loaded;
    forEach(&StepTrack::isLoaded, [&](size_t i) { loaded.append(loadVectors(b, tracks[i].pointer, piece)); });
    return loaded;
  }

  GpuBuilder &b;
  const StepPiece &piece;
  ArrayRef<StepTrack> tracks;
  Value isVector; ///< i1; null without tensors.
};

} // namespace

SmallVector<Words> bq::forEachHalf(GpuBuilder &b, const StepPiece &piece, ArrayRef<StepTrack> tracks,
                                   function_ref<void(const StepHalf &, MutableArrayRef<Words>)> body) {
  Halves halves(b, piece, tracks);
  Words words = b.loop(b.i32(0), b.i32(2), b.i32(1), halves.load(), [&](Value number, ValueRange state) {
    SmallVector<Words> fronts, backs;
    for (const StepTrack &track : tracks) {
      const size_t half = track.words.size() / 2;
      fronts.emplace_back(state.take_front(half));
      backs.emplace_back(state.slice(half, half));
      state = state.drop_front(2 * half);
    }
    Value first = b.add(piece.first, b.mul(number, StepHalf::columns));
    const StepHalf half{number, piece.row, first, piece.last};
    halves.loadElements(half, fronts);
    body(half, fronts);
    halves.storeElements(half, fronts);
    Words next;
    for (auto [front, back] : llvm::zip(fronts, backs)) {
      next.append(back);
      next.append(front);
    }
    return next;
  });
  SmallVector<Words> after;
  ValueRange rest = words;
  for (const StepTrack &track : tracks) {
    after.emplace_back(rest.take_front(track.words.size()));
    rest = rest.drop_front(track.words.size());
  }
  halves.store(after);
  return after;
}
