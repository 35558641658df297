// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "quantizers/diffq/BitPlanes.h"

#include "quantizers/Tensors.h"

using namespace bq;
using namespace bq::diffq;

using at::Tensor;

namespace {

constexpr int64_t wordsOfLine = 32, valuesOfLine = 64 * wordsOfLine;

struct Checked {
  Tensor values; ///< int16 [count]
  int64_t bits = 0;
};

Checked checkValues(const char *op, const Tensor &given, int64_t bits) {
  const Tensor flat = given.detach().reshape({-1});
  if (flat.is_floating_point())
    TORCH_CHECK(flat.eq(flat.round()).all().item<bool>(), op, ": a value is no whole number");
  double least = 0, greatest = 0;
  if (flat.numel() > 0) {
    least = flat.min().item<double>();
    greatest = flat.max().item<double>();
  }
  TORCH_CHECK(least >= 0 && greatest < 32768, op, ": values from ", least, " to ", greatest, ", expected 0 to 32767");
  int64_t needed = 0;
  while (greatest >= static_cast<double>(int64_t(1) << needed))
    ++needed;
  TORCH_CHECK(bits >= 0 && bits <= 15, op, ": ", bits, " bits, expected 0 to 15");
  TORCH_CHECK(bits == 0 || needed <= bits, op, ": the value ", greatest, " needs ", needed, " bits, ", bits,
              " are asked for");
  return {flat.to(at::kShort).contiguous(), bits == 0 ? needed : bits};
}

void checkCount(const char *op, int64_t count, int64_t held) {
  TORCH_CHECK(count >= 0 && count <= held, op, ": ", count, " values are asked for, ", held, " are there");
}

/// `Word` is unsigned.
template <typename Word>
void packWords(const int16_t *values, int64_t count, int64_t bits, Word *out, int64_t words) {
  for (int64_t index = 0; index < count; ++index)
    for (int64_t bit = 0; bit < bits; ++bit)
      out[bit * words + index % words] |=
          static_cast<Word>(static_cast<Word>(values[index] >> bit & 1) << index / words);
}

template <typename Word>
void unpackWords(const Word *packed, int64_t words, int64_t bits, int16_t *values, int64_t count) {
  for (int64_t index = 0; index < count; ++index)
    for (int64_t bit = 0; bit < bits; ++bit)
      values[index] |= static_cast<int16_t>((packed[bit * words + index % words] >> index / words & 1) << bit);
}

/// Calls `use` with a null pointer to the unsigned type of the same width.
template <typename Use>
void withWord(const char *op, at::ScalarType type, const Use &use) {
  switch (type) {
  case at::kByte:
    return use(static_cast<uint8_t *>(nullptr));
  case at::kShort:
    return use(static_cast<uint16_t *>(nullptr));
  case at::kInt:
    return use(static_cast<uint32_t *>(nullptr));
  case at::kLong:
    return use(static_cast<uint64_t *>(nullptr));
  default:
    TORCH_CHECK(false, op, ": words are ", toString(type), ", expected Byte, Short, Int or Long");
  }
}

} // namespace

Tensor diffq::packLines(const Tensor &values, int64_t bits) {
  const Checked checked = checkValues("packLines", values, bits);
  const int64_t count = checked.values.numel(), lines = (count + valuesOfLine - 1) / valuesOfLine;
  Tensor result = at::zeros({lines, checked.bits, wordsOfLine}, at::kLong);
  auto *words = reinterpret_cast<uint64_t *>(result.mutable_data_ptr<int64_t>());
  for (int64_t line = 0; line < lines; ++line)
    packWords(checked.values.const_data_ptr<int16_t>() + line * valuesOfLine,
              std::min(valuesOfLine, count - line * valuesOfLine), checked.bits,
              words + line * checked.bits * wordsOfLine, wordsOfLine);
  return result;
}

Tensor diffq::unpackLines(const Tensor &packed, int64_t count) {
  const char *op = "unpackLines";
  TORCH_CHECK(packed.scalar_type() == at::kLong && packed.dim() == 3 && packed.size(1) <= 15 &&
                  packed.size(2) == wordsOfLine,
              op, ": got ", toString(packed.scalar_type()), " ", shapeText(packed.sizes()),
              ", expected Long [lines, 0 to 15, 32]");
  checkCount(op, count, packed.size(0) * valuesOfLine);
  const Tensor words = packed.contiguous();
  const int64_t bits = words.size(1);
  Tensor result = at::zeros({count}, at::kShort);
  const auto *data = reinterpret_cast<const uint64_t *>(words.const_data_ptr<int64_t>());
  for (int64_t begin = 0; begin < count; begin += valuesOfLine)
    unpackWords(data + begin / valuesOfLine * bits * wordsOfLine, wordsOfLine, bits,
                result.mutable_data_ptr<int16_t>() + begin, std::min(valuesOfLine, count - begin));
  return result;
}

Tensor diffq::packStrided(const Tensor &values, int64_t bits, at::ScalarType type) {
  const Checked checked = checkValues("packStrided", values, bits);
  Tensor result;
  withWord("packStrided", type, [&](auto *word) {
    using Word = std::remove_pointer_t<decltype(word)>;
    constexpr int64_t width = 8 * sizeof(Word);
    const int64_t count = checked.values.numel(), words = (count + width - 1) / width;
    result = at::zeros({checked.bits, words}, type);
    packWords(checked.values.const_data_ptr<int16_t>(), count, checked.bits,
              static_cast<Word *>(result.mutable_data_ptr()), words);
  });
  return result;
}

Tensor diffq::unpackStrided(const Tensor &packed, int64_t count) {
  const char *op = "unpackStrided";
  TORCH_CHECK(packed.dim() == 2 && packed.size(0) <= 15, op, ": got ", shapeText(packed.sizes()),
              ", expected [0 to 15, words]");
  Tensor result = at::zeros({count}, at::kShort);
  withWord(op, packed.scalar_type(), [&](auto *word) {
    using Word = std::remove_pointer_t<decltype(word)>;
    checkCount(op, count, packed.size(1) * 8 * static_cast<int64_t>(sizeof(Word)));
    const Tensor words = packed.contiguous();
    unpackWords(static_cast<const Word *>(words.const_data_ptr()), words.size(1), words.size(0),
                result.mutable_data_ptr<int16_t>(), count);
  });
  return result;
}
