// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "dialect/core/Types.h"

#include <gtest/gtest.h>

using namespace bq;

namespace {

template <typename Enum, typename Parse>
void expectNames(Parse parse, std::initializer_list<std::pair<Enum, const char *>> names) {
  for (auto [value, name] : names) {
    EXPECT_EQ(str(value), name);
    ASSERT_TRUE(parse(name)) << name;
    EXPECT_EQ(*parse(name), value);
  }
}

} // namespace

TEST(Types, NamesAreThoseOfTheGrammar) {
  expectNames<ElementType>(parseElementType,
                           {{ElementType::F32, "f32"}, {ElementType::F16, "f16"}, {ElementType::BF16, "bf16"}});
  expectNames<ZeroPointType>(parseZeroPointType,
                             {{ZeroPointType::None, "none"}, {ZeroPointType::U8, "u8"}, {ZeroPointType::F32, "f32"}});
  expectNames<Compute>(parseCompute,
                       {{Compute::F32, "f32"}, {Compute::BF16, "bf16"}, {Compute::I16, "i16"}, {Compute::I8, "i8"}});
  expectNames<Activation>(parseActivation, {{Activation::None, "none"},
                                            {Activation::Relu, "relu"},
                                            {Activation::Gelu, "gelu"},
                                            {Activation::GeluTanh, "gelu_tanh"},
                                            {Activation::Silu, "silu"}});
}

TEST(Types, Sizes) {
  EXPECT_EQ(sizeOf(ElementType::F32), 4);
  EXPECT_EQ(sizeOf(ElementType::F16), 2);
  EXPECT_EQ(sizeOf(ElementType::BF16), 2);
}

TEST(Types, ErrorsListWhatIsAccepted) {
  EXPECT_EQ(parseCompute("int8").error().message, "compute 'int8' is not known: use one of f32, bf16, i16, i8");
  EXPECT_EQ(parseActivation("Relu").error().message,
            "activation 'Relu' is not known: use one of none, relu, gelu, gelu_tanh, silu");
  EXPECT_EQ(parseElementType("").error().message, "element type '' is not known: use one of f32, f16, bf16");
  EXPECT_EQ(parseZeroPointType("i8").error().message, "zero point type 'i8' is not known: use one of none, u8, f32");
}
