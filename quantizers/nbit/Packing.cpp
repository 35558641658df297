// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/nbit/Packing.h"

#include "quantizers/Tensors.h"
#include "runtime/CodeBits.h"

#include <ATen/Parallel.h>

using namespace bq;

namespace {

void checkBits(const char *op, int64_t bits) {
  TORCH_CHECK(bits >= 1 && bits <= 8, op, ": ", bits, " bits are not supported: use 1 to 8");
}

void checkMatrix(const char *op, const char *what, const at::Tensor &tensor) {
  TORCH_CHECK(tensor.dim() == 2, op, ": expected '", what, "' to be a matrix, got ", shapeText(tensor.sizes()));
}

void checkRange(const char *op, const at::Tensor &integers, int64_t low, int64_t high) {
  TORCH_CHECK(at::isIntegralType(integers.scalar_type(), /*includeBool=*/true), op,
              ": expected 'integers' of an integer type, got ", integers.scalar_type());
  if (!integers.numel())
    return;
  auto [least, greatest] = at::aminmax(integers);
  const int64_t bounds[] = {least.item<int64_t>(), greatest.item<int64_t>()};
  for (int64_t value : bounds)
    TORCH_CHECK(value >= low && value <= high, op, ": 'integers' ", shapeText(integers.sizes()), " hold ", value,
                ", outside of ", low, " to ", high);
}

/// Rows that take at least this many codes are worth a task of their own.
constexpr int64_t grainCodes = 1 << 15;

int64_t rowGrain(int64_t columns) { return std::max<int64_t>(1, grainCodes / std::max<int64_t>(1, columns)); }

/// Rows of integers as rows of `words` words of `type`, zeros where a row does not fill them.
at::Tensor packRowsInto(const at::Tensor &integers, int64_t bits, at::ScalarType type, int64_t words) {
  at::Tensor source = integers.to(at::kCPU, at::kByte).contiguous();
  at::Tensor packed = at::zeros({source.size(0), words}, type);
  const int64_t columns = source.size(1), rowBytes = words * packed.element_size();
  const uint8_t *from = source.const_data_ptr<uint8_t>();
  auto *to = static_cast<uint8_t *>(packed.mutable_data_ptr());
  at::parallel_for(0, source.size(0), rowGrain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      bq::packCodes(from + row * columns, static_cast<int>(bits), columns, to + row * rowBytes);
  });
  return packed.to(integers.device());
}

at::Tensor unpackRowsFrom(const at::Tensor &words, int64_t bits, int64_t columns) {
  at::Tensor source = words.to(at::kCPU).contiguous();
  at::Tensor integers = at::empty({source.size(0), columns}, at::kByte);
  const int64_t rowBytes = source.size(1) * source.element_size();
  const auto *from = static_cast<const uint8_t *>(source.const_data_ptr());
  uint8_t *to = integers.mutable_data_ptr<uint8_t>();
  at::parallel_for(0, source.size(0), rowGrain(columns), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      bq::unpackCodes(from + row * rowBytes, static_cast<int>(bits), columns, to + row * columns);
  });
  return integers.to(words.device());
}

void checkIntegers(const char *op, const at::Tensor &integers, int64_t bits) {
  checkBits(op, bits);
  checkMatrix(op, "integers", integers);
  checkRange(op, integers, 0, (int64_t(1) << bits) - 1);
}

at::ScalarType wordType(const char *op, int64_t bits) {
  switch (bits) {
  case 8:
    return at::kByte;
  case 16:
    return at::kShort;
  case 32:
    return at::kInt;
  case 64:
    return at::kLong;
  default:
    TORCH_CHECK(false, op, ": words of ", bits, " bits are not supported: use 8, 16, 32 or 64");
  }
}

} // namespace

at::Tensor bq::packRows(const at::Tensor &integers, int64_t bits) {
  checkIntegers("bq::packRows", integers, bits);
  return packRowsInto(integers, bits, at::kByte, (integers.size(1) * bits + 7) / 8);
}

at::Tensor bq::unpackRows(const at::Tensor &codes, int64_t bits, int64_t columns) {
  constexpr const char *op = "bq::unpackRows";
  checkBits(op, bits);
  checkMatrix(op, "codes", codes);
  TORCH_CHECK(codes.scalar_type() == at::kByte, op, ": expected 'codes' of type Byte, got ", codes.scalar_type());
  TORCH_CHECK(columns >= 0 && codes.size(1) == (columns * bits + 7) / 8, op, ": ", columns, " columns of ", bits,
              " bits take ", (columns * bits + 7) / 8, " bytes a row, got 'codes' ", shapeText(codes.sizes()));
  return unpackRowsFrom(codes, bits, columns);
}

at::Tensor bq::packWords(const at::Tensor &integers, int64_t bits, int64_t dim) {
  constexpr const char *op = "bq::packWords";
  checkIntegers(op, integers, bits);
  TORCH_CHECK(dim == 0 || dim == 1, op, ": expected 'dim' 0 or 1, got ", dim);
  at::Tensor rows = dim == 1 ? integers : integers.t();
  at::Tensor words = packRowsInto(rows, bits, at::kInt, (rows.size(1) * bits + 31) / 32);
  return dim == 1 ? words : words.t().contiguous();
}

at::Tensor bq::unpackWords(const at::Tensor &words, int64_t bits, int64_t dim, int64_t count) {
  constexpr const char *op = "bq::unpackWords";
  checkBits(op, bits);
  checkMatrix(op, "words", words);
  TORCH_CHECK(words.scalar_type() == at::kInt, op, ": expected 'words' of type Int, got ", words.scalar_type());
  TORCH_CHECK(dim == 0 || dim == 1, op, ": expected 'dim' 0 or 1, got ", dim);
  TORCH_CHECK(count >= 0 && words.size(dim) == (count * bits + 31) / 32, op, ": ", count, " integers of ", bits,
              " bits take ", (count * bits + 31) / 32, " words along dimension ", dim, ", got 'words' ",
              shapeText(words.sizes()));
  at::Tensor integers = unpackRowsFrom(dim == 1 ? words : words.t(), bits, count);
  return dim == 1 ? integers : integers.t().contiguous();
}

at::Tensor bq::packNibbles(const at::Tensor &integers) {
  constexpr const char *op = "bq::packNibbles";
  TORCH_CHECK(integers.dim() >= 1, op, ": expected 'integers' with a dimension to pack, got a number");
  checkRange(op, integers, -8, 7);
  at::Tensor nibbles = at::bitwise_and(integers.to(at::kInt), 15);
  if (nibbles.size(-1) % 2)
    nibbles = at::constant_pad_nd(nibbles, {0, 1});
  at::Tensor high = nibbles.slice(-1, 0, c10::nullopt, 2), low = nibbles.slice(-1, 1, c10::nullopt, 2);
  return (high * 16 + low).to(at::kByte).view(at::kChar);
}

at::Tensor bq::unpackNibbles(const at::Tensor &bytes, int64_t columns) {
  constexpr const char *op = "bq::unpackNibbles";
  TORCH_CHECK(bytes.scalar_type() == at::kChar, op, ": expected 'bytes' of type Char, got ", bytes.scalar_type());
  TORCH_CHECK(bytes.dim() >= 1 && columns >= 0 && bytes.size(-1) == (columns + 1) / 2, op, ": ", columns,
              " columns take ", (columns + 1) / 2, " bytes, got 'bytes' ", shapeText(bytes.sizes()));
  at::Tensor wide = bytes.to(at::kInt);
  at::Tensor high = at::bitwise_right_shift(wide, 4);
  at::Tensor low = at::bitwise_and(wide + 8, 15) - 8;
  return at::stack({high, low}, -1).flatten(-2).slice(-1, 0, columns).to(at::kChar).contiguous();
}

at::Tensor bq::packSigns(const at::Tensor &values, int64_t bits) {
  constexpr const char *op = "bq::packSigns";
  const at::ScalarType type = wordType(op, bits);
  const int64_t count = values.numel();
  at::Tensor positive = values.ge(0).reshape({1, count}).to(at::kByte);
  return packRowsInto(positive, 1, type, (count + bits - 1) / bits).reshape({-1});
}

at::Tensor bq::unpackSigns(const at::Tensor &words, int64_t count) {
  constexpr const char *op = "bq::unpackSigns";
  const int64_t bits = words.element_size() * 8;
  TORCH_CHECK(words.dim() == 1 && words.scalar_type() == wordType(op, bits), op,
              ": expected 'words' to be 1-D of type Byte, Short, Int or Long, got ", words.scalar_type(), " ",
              shapeText(words.sizes()));
  TORCH_CHECK(count >= 0 && words.size(0) == (count + bits - 1) / bits, op, ": ", count, " signs take ",
              (count + bits - 1) / bits, " words of ", bits, " bits, got ", words.size(0));
  return (unpackRowsFrom(words.unsqueeze(0), 1, count).reshape({-1}).to(at::kChar) * 2).sub_(1);
}
