// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "codegen/KernelSpec.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

using namespace bq;

namespace {

using Op = KernelSpec::Op;

const std::string linearText =
    "op=linear format=uint4:g128 n=11008 k=4096 data=f16 scale=bf16 zero=u8 compute=i16 rows=3 "
    "bias=1 activation=gelu_tanh permuted=1";

KernelSpec linearSpec() {
  KernelSpec spec;
  spec.op = Op::Linear;
  spec.format = *Format::parse("uint4:g128");
  spec.n = 11008;
  spec.k = 4096;
  spec.dataType = ElementType::F16;
  spec.scaleType = ElementType::BF16;
  spec.zeroType = ZeroPointType::U8;
  spec.compute = Compute::I16;
  spec.rows = 3;
  spec.hasBias = true;
  spec.activation = Activation::GeluTanh;
  spec.permuted = true;
  return spec;
}

KernelSpec rowSpec(Op op, const char *format) {
  KernelSpec spec;
  spec.op = op;
  spec.format = *Format::parse(format);
  spec.k = 100;
  if (spec.format.hasZeroPoints())
    spec.zeroType = ZeroPointType::U8;
  return spec;
}

/// Every change of one field from linearSpec().
std::vector<KernelSpec> neighbours() {
  std::vector<KernelSpec> specs;
  auto add = [&](const std::function<void(KernelSpec &)> &change) {
    specs.push_back(linearSpec());
    change(specs.back());
  };
  add([](KernelSpec &) {});
  add([](KernelSpec &s) { s.format = *Format::parse("uint4:g64"); });
  add([](KernelSpec &s) { s.format = *Format::parse("uint4"); });
  add([](KernelSpec &s) { s.n = 1; });
  add([](KernelSpec &s) { s.k = 4097; });
  add([](KernelSpec &s) { s.dataType = ElementType::F32; });
  add([](KernelSpec &s) { s.scaleType = ElementType::F32; });
  add([](KernelSpec &s) { s.zeroType = ZeroPointType::F32; });
  for (Compute compute : {Compute::F32, Compute::BF16, Compute::I8})
    add([=](KernelSpec &s) { s.compute = compute; });
  add([](KernelSpec &s) { s.rows = 0; });
  add([](KernelSpec &s) { s.hasBias = false; });
  for (Activation kind : {Activation::None, Activation::Relu, Activation::Gelu, Activation::Silu})
    add([=](KernelSpec &s) { s.activation = kind; });
  add([](KernelSpec &s) { s.permuted = false; });
  for (Op op : {Op::Embedding, Op::Quantize, Op::Dequantize})
    for (const char *format : {"int4:g32", "uint8", "nf4"})
      specs.push_back(rowSpec(op, format));
  return specs;
}

/// `text` with the first `from` replaced by `to`.
std::string edit(std::string text, const std::string &from, const std::string &to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expectRefused(const KernelSpec &spec, const std::string &message) {
  const Status status = spec.verify();
  ASSERT_FALSE(status) << spec.str();
  EXPECT_EQ(status.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(status.error().message, message);
}

} // namespace

TEST(KernelSpec, TextHasEveryFieldInOneLine) {
  EXPECT_EQ(linearSpec().str(), linearText);
  EXPECT_EQ(rowSpec(Op::Quantize, "sign").str(), "op=quantize format=sign n=0 k=100 data=f32 scale=f32 zero=none "
                                                 "compute=f32 rows=0 bias=0 activation=none permuted=0");
}

TEST(KernelSpec, ParseIsTheInverseOfStr) {
  for (const KernelSpec &spec : neighbours()) {
    Expected<KernelSpec> back = KernelSpec::parse(spec.str());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->str(), spec.str());
    EXPECT_TRUE(*back == spec);
  }
}

TEST(KernelSpec, DifferentSpecsHaveDifferentTextsAndNames) {
  std::set<std::string> texts, names;
  for (const KernelSpec &spec : neighbours()) {
    EXPECT_TRUE(spec.verify()) << spec.str();
    EXPECT_TRUE(texts.insert(spec.str()).second) << spec.str();
    EXPECT_TRUE(names.insert(spec.name()).second) << spec.name();
  }
}

TEST(KernelSpec, FieldsMayComeInAnyOrder) {
  const std::string turned = edit(linearText, "op=linear ", "") + " op=linear";
  ASSERT_TRUE(KernelSpec::parse(turned));
  EXPECT_EQ(KernelSpec::parse(turned)->str(), linearText);
}

TEST(KernelSpec, ParseNamesFieldValueAndWhatIsAccepted) {
  const std::pair<std::string, std::string> bad[] = {
      {"", "kernel spec '' has '' where a field is expected: use op=... format=... n=..."},
      {linearText + " ", "has '' where a field is expected"},
      {edit(linearText, "op=linear", "linear"), "has 'linear' where a field is expected"},
      {linearText + " tile=4", "has the unknown field 'tile'"},
      {linearText + " rows=3", "has the field 'rows' twice"},
      {edit(linearText, "rows=3 ", ""), "lacks the field 'rows'"},
      {edit(linearText, " permuted=1", ""), "lacks the field 'permuted'"},
      {edit(linearText, "op=linear", "op=conv"),
       "kernel spec field op='conv': use one of linear, embedding, quantize, dequantize"},
      {edit(linearText, "uint4:g128", "uint9"), "kernel spec field format: format 'uint9' has 9 bits"},
      {edit(linearText, "n=11008", "n=-1"), "kernel spec field n='-1': use a decimal number"},
      {edit(linearText, "n=11008", "n="), "kernel spec field n='': use a decimal number"},
      {edit(linearText, "n=11008", "n=08"), "kernel spec field n='08': use a decimal number"},
      {edit(linearText, "k=4096", "k=99999999999999999999"), "use a decimal number of at most 9223372036854775807"},
      {edit(linearText, "data=f16", "data=f64"), "kernel spec field data: element type 'f64' is not known"},
      {edit(linearText, "scale=bf16", "scale="), "kernel spec field scale: element type '' is not known"},
      {edit(linearText, "zero=u8", "zero=u4"), "kernel spec field zero: zero point type 'u4' is not known"},
      {edit(linearText, "compute=i16", "compute=int8"), "kernel spec field compute: compute 'int8' is not known"},
      {edit(linearText, "rows=3", "rows=3x"),
       "kernel spec field rows='3x': use a decimal number of at most 2147483647"},
      {edit(linearText, "bias=1", "bias=yes"), "kernel spec field bias='yes': use 0 or 1"},
      {edit(linearText, "gelu_tanh", "tanh"), "kernel spec field activation: activation 'tanh' is not known"},
      {edit(linearText, "permuted=1", "permuted=2"), "kernel spec field permuted='2': use 0 or 1"},
  };
  for (const auto &[text, message] : bad) {
    Expected<KernelSpec> spec = KernelSpec::parse(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code, ErrorCode::InvalidArgument);
    EXPECT_NE(spec.error().message.find(message), std::string::npos) << spec.error().message;
    EXPECT_EQ(spec.error().message.find('\n'), std::string::npos);
  }
}

TEST(KernelSpec, VerifyRefusesWhatNoKernelServes) {
  KernelSpec spec = linearSpec();
  spec.n = 0;
  expectRefused(spec, "kernel spec field n='0': must be 1..2147483647 for linear");
  spec = linearSpec();
  spec.k = 0;
  expectRefused(spec, "kernel spec field k='0': must be 1..2147483647");
  spec = linearSpec();
  spec.rows = 9;
  expectRefused(spec, "kernel spec field rows='9': must be 0 (any) or 1..8 for linear");
  spec.rows = -1;
  expectRefused(spec, "kernel spec field rows='-1': must be 0 (any) or 1..8 for linear");
  spec = linearSpec();
  spec.zeroType = ZeroPointType::None;
  expectRefused(spec, "kernel spec field zero='none': format uint4:g128 has zero points: use u8 or f32");
  spec = linearSpec();
  spec.format = *Format::parse("nf4");
  expectRefused(spec, "kernel spec field zero='u8': format nf4 has no zero points: use none");
  spec = linearSpec();
  spec.format.bits = 9;
  expectRefused(spec, "kernel spec field format='uint9:g128': bits or group size are out of the range of the kind");
}

TEST(KernelSpec, VerifyKeepsLinearsFieldsToLinear) {
  for (Op op : {Op::Embedding, Op::Quantize, Op::Dequantize}) {
    const KernelSpec plain = rowSpec(op, "uint4");
    EXPECT_TRUE(plain.verify());
    const std::string name = op == Op::Embedding ? "embedding" : op == Op::Quantize ? "quantize" : "dequantize";
    KernelSpec spec = plain;
    spec.n = 4;
    expectRefused(spec, "kernel spec field n='4': must be 0, since " + name + " serves any number of rows");
    spec = plain;
    spec.compute = Compute::I8;
    expectRefused(spec, "kernel spec field compute='i8': belongs to linear, must be f32 for " + name);
    spec = plain;
    spec.rows = 1;
    expectRefused(spec, "kernel spec field rows='1': belongs to linear, must be 0 for " + name);
    spec = plain;
    spec.hasBias = true;
    expectRefused(spec, "kernel spec field bias='1': belongs to linear, must be 0 for " + name);
    spec = plain;
    spec.activation = Activation::Silu;
    expectRefused(spec, "kernel spec field activation='silu': belongs to linear, must be none for " + name);
    spec = plain;
    spec.permuted = true;
    expectRefused(spec, "kernel spec field permuted='1': belongs to linear, must be 0 for " + name);
  }
}

TEST(KernelSpec, VerifyKnowsWhatEachOpCanHold) {
  expectRefused(rowSpec(Op::Quantize, "lut3"),
                "kernel spec field format='lut3': quantize cannot choose a table: use int, uint, nf4, fp4 or sign");
  KernelSpec spec = rowSpec(Op::Quantize, "uint4");
  spec.zeroType = ZeroPointType::F32;
  expectRefused(spec, "kernel spec field zero='f32': quantize makes integer zero points: use u8");
  spec = rowSpec(Op::Embedding, "lut3");
  EXPECT_TRUE(spec.verify());
  spec.dataType = ElementType::F16;
  expectRefused(spec, "kernel spec field data='f16': must be f32, since embedding has the element type of the scales");
  spec = rowSpec(Op::Quantize, "int4");
  spec.dataType = ElementType::BF16;
  EXPECT_TRUE(spec.verify());
}

TEST(KernelSpec, NamesAreSymbols) {
  EXPECT_EQ(linearSpec().name(), "bq_f16_uint4g128sbf16zu8_linear_i16_permuted_bias_gelu_tanh__n11008k4096m3");
  EXPECT_EQ(rowSpec(Op::Quantize, "nf4").name(), "bq_f32_nf4sf32_quantize__k100");
  EXPECT_EQ(rowSpec(Op::Embedding, "uint8:g32").name(), "bq_uint8g32sf32zu8_embedding__k100");
  for (const KernelSpec &spec : neighbours())
    for (char c : spec.name())
      EXPECT_TRUE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') << spec.name();
}

TEST(KernelSpec, RowsForAnM) {
  EXPECT_EQ(KernelSpec::rowsFor(1), 1);
  EXPECT_EQ(KernelSpec::rowsFor(8), 8);
  EXPECT_EQ(KernelSpec::rowsFor(9), 0);
  EXPECT_EQ(KernelSpec::rowsFor(int64_t{1} << 40), 0);
}
