// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "runtime/emu/WarpModels.h"

#include "dialect/core/Half.h"

#include <cstdint>
#include <cstring>

using namespace bq;
using namespace bq::emu;

namespace {

using Operands = const BQEmuOperands *const[warpLanes];
using Results = unsigned (*const[warpLanes])[4];

constexpr int rows = 16, columns = 8;

/// Calls f(word, row, first column) for the four words of lane's accumulator.
template <typename F>
void eachAccumulator(int lane, F f) {
  for (int i = 0; i < 4; ++i)
    f(i, lane / 4 + i / 2 * 8, lane % 4 * 2 + i % 2);
}

/// The matrices a [rows, depth] and b [depth, columns] of elements with 32 / PerWord bits, read by `decode(word, i)`.
template <typename T, int Depth, int PerWord, typename DecodeA, typename DecodeB>
struct Matrices {
  T a[rows][Depth], b[Depth][columns];

  Matrices(const Operands &operands, DecodeA decodeA, DecodeB decodeB) {
    for (int lane = 0; lane < warpLanes; ++lane) {
      const auto &mma = operands[lane]->mma;
      const int group = lane / 4, first = lane % 4 * PerWord;
      for (int i = 0; i < PerWord; ++i) {
        for (int word = 0; word < 4; ++word)
          a[group + word % 2 * 8][first + word / 2 * (Depth / 2) + i] = decodeA(mma.a[word], i);
        for (int word = 0; word < 2; ++word)
          b[first + word * (Depth / 2) + i][group] = decodeB(mma.b[word], i);
      }
    }
  }
};

template <typename Decode>
void mmaFloat(const Operands &operands, const Results &results, Decode decode) {
  Matrices<double, 16, 2, Decode, Decode> m(operands, decode, decode);
  double sums[rows][columns] = {};
  for (int i = 0; i < rows; ++i)
    for (int k = 0; k < 16; ++k)
      for (int j = 0; j < columns; ++j)
        sums[i][j] += m.a[i][k] * m.b[k][j];
  for (int lane = 0; lane < warpLanes; ++lane)
    eachAccumulator(lane, [&](int word, int i, int j) {
      const double sum = sums[i][j] + detail::floatOf(operands[lane]->mma.accumulator[word]);
      (*results[lane])[word] = detail::bitsOf(static_cast<float>(sum));
    });
}

void mmaU8S8(const Operands &operands, const Results &results) {
  auto u8 = [](unsigned word, int i) -> int32_t { return static_cast<uint8_t>(word >> 8 * i); };
  auto s8 = [](unsigned word, int i) -> int32_t { return static_cast<int8_t>(word >> 8 * i); };
  Matrices<int32_t, 32, 4, decltype(u8), decltype(s8)> m(operands, u8, s8);
  int32_t sums[rows][columns] = {};
  for (int i = 0; i < rows; ++i)
    for (int k = 0; k < 32; ++k)
      for (int j = 0; j < columns; ++j)
        sums[i][j] += m.a[i][k] * m.b[k][j];
  for (int lane = 0; lane < warpLanes; ++lane)
    eachAccumulator(lane, [&](int word, int i, int j) {
      (*results[lane])[word] = operands[lane]->mma.accumulator[word] + static_cast<unsigned>(sums[i][j]);
    });
}

void ldmatrix(const Operands &operands, const Results &results) {
  for (int matrix = 0; matrix < 4; ++matrix)
    for (int lane = 0; lane < warpLanes; ++lane) {
      const char *row = static_cast<const char *>(operands[matrix * 8 + lane / 4]->row);
      std::memcpy(&(*results[lane])[matrix], row + lane % 4 * 4, 4);
    }
}

void transpose(const Operands &operands, const Results &results) {
  for (int lane = 0; lane < warpLanes; ++lane) {
    unsigned pair = 0;
    for (int i = 0; i < 2; ++i) {
      const int row = lane % 4 * 2 + i, column = lane / 4;
      pair |= (operands[row * 4 + column / 2]->matrix >> 16 * (column % 2) & 0xffff) << 16 * i;
    }
    (*results[lane])[0] = pair;
  }
}

void shuffleXor(const Operands &operands, const Results &results) {
  for (int lane = 0; lane < warpLanes; ++lane)
    (*results[lane])[0] = operands[(lane ^ operands[lane]->shuffle.mask) % warpLanes]->shuffle.value;
}

} // namespace

void emu::runWarpOp(BQEmuWarpOp op, const BQEmuOperands *const (&operands)[warpLanes],
                    unsigned (*const (&results)[warpLanes])[4]) {
  auto half = [](unsigned word, int i) { return static_cast<uint16_t>(word >> 16 * i); };
  switch (op) {
  case BQEmuShuffleXor:
    return shuffleXor(operands, results);
  case BQEmuLdmatrix:
    return ldmatrix(operands, results);
  case BQEmuTranspose:
    return transpose(operands, results);
  case BQEmuMmaBF16:
    return mmaFloat(operands, results, [&](unsigned word, int i) -> double { return bf16ToFloat(half(word, i)); });
  case BQEmuMmaF16:
    return mmaFloat(operands, results, [&](unsigned word, int i) -> double { return f16ToFloat(half(word, i)); });
  case BQEmuMmaU8S8:
    return mmaU8S8(operands, results);
  }
}
