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
    "bias=1 activation=gelu_tanh permuted=1 factors=0 activation_bits=0";

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

KernelSpec conv2dSpec() {
  KernelSpec spec = linearSpec();
  spec.op = Op::Conv2d;
  spec.k = 4608;
  spec.rows = 0;
  spec.kernelHeight = 3;
  spec.kernelWidth = 4;
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

KernelSpec updateSpec(const char *format) {
  KernelSpec spec = rowSpec(Op::Update, format);
  spec.rule = spec.format.kind == Format::Kind::Sign ? UpdateRule::SignMomentum : UpdateRule::Adam;
  spec.moments = MomentType::F32;
  return spec;
}

KernelSpec fakeQuantizeSpec(Op op, const char *format) {
  KernelSpec spec;
  spec.op = op;
  spec.format = *Format::parse(format);
  return spec;
}

KernelSpec gradientSpec() {
  KernelSpec spec = linearSpec();
  spec.op = Op::LinearInputGradient;
  spec.compute = Compute::BF16;
  spec.hasBias = false;
  spec.activation = Activation::None;
  return spec;
}

KernelSpec denseSpec() {
  KernelSpec spec;
  spec.op = Op::UpdateDense;
  spec.moments = MomentType::F32;
  return spec;
}

/// Every change of one field from linearSpec(), updateSpec() and denseSpec(), and the other ops.
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
  add([](KernelSpec &s) { s.columnFactors = true; });
  for (int bits : {1, 4, 8})
    add([=](KernelSpec &s) { s.compute = Compute::I8, s.activationBits = bits; });
  for (Op op : {Op::Embedding, Op::Quantize, Op::Dequantize, Op::Prepack})
    for (const char *format : {"int4:g32", "uint8", "nf4"})
      specs.push_back(rowSpec(op, format));
  auto change = [&](KernelSpec spec, const std::function<void(KernelSpec &)> &change) {
    change(spec);
    specs.push_back(spec);
  };
  change(conv2dSpec(), [](KernelSpec &) {});
  change(conv2dSpec(), [](KernelSpec &s) { s.kernelHeight = 1; });
  change(conv2dSpec(), [](KernelSpec &s) { s.kernelWidth = 3; });
  change(conv2dSpec(), [](KernelSpec &s) { s.columnFactors = true; });
  change(conv2dSpec(), [](KernelSpec &s) { s.groups = 11008, s.k = 12, s.permuted = false; });
  change(gradientSpec(), [](KernelSpec &) {});
  change(gradientSpec(), [](KernelSpec &s) { s.compute = Compute::F32; });
  change(gradientSpec(), [](KernelSpec &s) { s.permuted = false; });
  change(gradientSpec(), [](KernelSpec &s) { s.rows = 0; });
  change(rowSpec(Op::Prepack, "int4:g32"), [](KernelSpec &s) { s.permuted = true; });
  for (const KernelSpec &spec : {updateSpec("int4"), denseSpec()}) {
    specs.push_back(spec);
    change(spec, [](KernelSpec &s) { s.dataType = ElementType::BF16; });
    change(spec, [](KernelSpec &s) { s.rule = UpdateRule::Direction, s.moments = MomentType::None; });
    for (MomentType type : {MomentType::F16, MomentType::BF16, MomentType::Block8})
      change(spec, [=](KernelSpec &s) { s.moments = type; });
    change(spec, [](KernelSpec &s) { s.biasCorrection = true; });
  }
  change(denseSpec(), [](KernelSpec &s) { s.weightType = ElementType::F16; });
  for (const char *format : {"int4:g32", "uint8", "sign"})
    specs.push_back(updateSpec(format));
  for (Op op : {Op::FakeQuantize, Op::FakeQuantizeGrad})
    for (const char *format : {"int4", "uint4", "sign"}) {
      specs.push_back(fakeQuantizeSpec(op, format));
      change(fakeQuantizeSpec(op, format), [](KernelSpec &s) { s.dataType = ElementType::BF16; });
      if (!specs.back().format.hasColumnScale())
        change(fakeQuantizeSpec(op, format), [](KernelSpec &s) { s.zeroType = ZeroPointType::F32; });
    }
  for (Rounding rounding : {Rounding::Residual, Rounding::Stochastic})
    change(updateSpec("int4"), [=](KernelSpec &s) { s.rounding = rounding; });
  for (ScaleUpdate scaling : {ScaleUpdate::Group, ScaleUpdate::Tensor})
    change(updateSpec("int4"), [=](KernelSpec &s) { s.scaling = scaling; });
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

TEST(KernelSpec, TextHasEveryFieldOfTheOpInOneLine) {
  EXPECT_EQ(linearSpec().str(), linearText);
  EXPECT_EQ(conv2dSpec().str(),
            "op=conv2d format=uint4:g128 n=11008 k=4608 data=f16 scale=bf16 zero=u8 compute=i16 bias=1 "
            "activation=gelu_tanh permuted=1 factors=0 activation_bits=0 kernel_height=3 kernel_width=4 "
            "groups=1");
  EXPECT_EQ(gradientSpec().str(),
            "op=linear_input_gradient format=uint4:g128 n=11008 k=4096 data=f16 scale=bf16 zero=u8 "
            "compute=bf16 rows=3 permuted=1");
  EXPECT_EQ(rowSpec(Op::Quantize, "sign").str(), "op=quantize format=sign k=100 data=f32 scale=f32 zero=none");
  EXPECT_EQ(rowSpec(Op::Embedding, "uint8").str(), "op=embedding format=uint8 k=100 scale=f32 zero=u8");
  EXPECT_EQ(rowSpec(Op::Prepack, "int4:g8").str(), "op=prepack format=int4:g8 k=100 scale=f32 zero=none permuted=0");
  EXPECT_EQ(updateSpec("int4").str(), "op=update format=int4 k=100 data=f32 scale=f32 zero=none rule=adam moments=f32 "
                                      "correction=0 rounding=nearest scaling=keep");
  EXPECT_EQ(fakeQuantizeSpec(Op::FakeQuantizeGrad, "sign").str(),
            "op=fake_quantize_grad format=sign data=f32 zero=none");
  EXPECT_EQ(denseSpec().str(), "op=update_dense data=f32 weight=f32 rule=adam moments=f32 correction=0");
  KernelSpec noise;
  noise.op = Op::DiffqNoiseGrad;
  noise.groupSize = 8;
  EXPECT_EQ(noise.str(), "op=diffq_noise_grad data=f32 noise=gaussian group=8 rounds=7");
  EXPECT_EQ(noise.name(), "bq_f32_diffq_noise_grad_gaussian_g8_philox7");
  noise.rounds = 8;
  expectRefused(noise, "kernel spec field rounds='8': must be 7 or 10");
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
      {"", "kernel spec '' has '' where a field is expected: use op=..."},
      {edit(linearText, "op=linear ", ""), "lacks the field 'op': use op=..."},
      {linearText + " ", "has '' where a field is expected"},
      {edit(linearText, "op=linear", "linear"), "has 'linear' where a field is expected"},
      {linearText + " tile=4", "has the unknown field 'tile'"},
      {linearText + " rows=3", "has the field 'rows' twice"},
      {edit(linearText, "rows=3 ", ""), "lacks the field 'rows'"},
      {edit(linearText, " permuted=1", ""),
       "lacks the field 'permuted': use op=... format=... n=... k=... data=... scale=... zero=... compute=... rows=... "
       "bias=... activation=... permuted=... factors=... activation_bits=..."},
      {"op=embedding format=int4 k=1 scale=f32 zero=none rows=3",
       "has the field 'rows', which belongs to linear and linear_input_gradient: use op=... format=... k=... scale=... "
       "zero=..."},
      {"op=embedding format=int4 k=1 scale=f32 zero=none data=f32",
       "has the field 'data', which belongs to linear, quantize, "},
      {edit(linearText, "op=linear", "op=conv"),
       "kernel spec field op='conv': use one of linear, embedding, quantize, dequantize, prepack, update, "
       "update_dense, conv2d"},
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
  spec.rows = 17;
  expectRefused(spec, "kernel spec field rows='17': must be 0 (any) or 1..16 for linear");
  spec.rows = -1;
  expectRefused(spec, "kernel spec field rows='-1': must be 0 (any) or 1..16 for linear");
  spec = linearSpec();
  spec.activationBits = 9;
  expectRefused(spec, "kernel spec field activation_bits='9': must be 0 (activations as they come) or 1..8");
  spec.activationBits = 4;
  expectRefused(spec, "kernel spec field activation_bits='4': activations with one scale need compute=i8");
  spec.compute = Compute::I8;
  spec.columnFactors = true;
  expectRefused(spec, "kernel spec field activation_bits='4': activations with one scale need columns without scales "
                      "and factors");
  spec = linearSpec();
  spec.format = *Format::parse("sign");
  spec.zeroType = ZeroPointType::None;
  spec.columnFactors = true;
  expectRefused(spec, "kernel spec field factors='1': the columns of format sign have scales of their own: use 0");
  spec = conv2dSpec();
  spec.kernelHeight = 5;
  expectRefused(spec, "kernel spec field kernel_height='5': must divide k=4608");
  spec.kernelHeight = 512;
  expectRefused(spec, "kernel spec field kernel_width='4': must divide k / kernel_height=9");
  spec = conv2dSpec();
  spec.groups = 3;
  expectRefused(spec, "kernel spec field groups='3': must divide n=11008");
  spec.groups = 2;
  const std::string small = "groups have kernels of their own but where they have 1, 2 or 4 outputs and a divisor of "
                            "them channels, and channels times kernel_width is at most 12: use 1";
  expectRefused(spec, "kernel spec field groups='2': " + small);
  spec.groups = 11008;
  spec.k = 12 * 2;
  expectRefused(spec, "kernel spec field groups='11008': " + small);
  spec.groups = 11008 / 2;
  expectRefused(spec, "kernel spec field groups='5504': groups of mixed and of permuted weights have kernels of their "
                      "own: use 1");
  spec.permuted = false;
  EXPECT_TRUE(spec.verify());
  spec = linearSpec();
  spec.groups = 2;
  expectRefused(spec, "kernel spec field groups='2': belongs to conv2d, must be 1 for linear");
  spec = conv2dSpec();
  spec.n = 0;
  expectRefused(spec, "kernel spec field n='0': must be 1..2147483647 for conv2d");
  spec = conv2dSpec();
  spec.rows = 1;
  expectRefused(spec, "kernel spec field rows='1': belongs to linear and linear_input_gradient, must be 0 for conv2d");
  spec = linearSpec();
  spec.kernelWidth = 1;
  expectRefused(spec, "kernel spec field kernel_width='1': belongs to conv2d, must be 0 for linear");
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

TEST(KernelSpec, VerifyKeepsFieldsToTheirOps) {
  for (Op op : {Op::Embedding, Op::Quantize, Op::Dequantize, Op::Prepack}) {
    const KernelSpec plain = rowSpec(op, "uint4");
    EXPECT_TRUE(plain.verify());
    const std::string name = op == Op::Embedding    ? "embedding"
                             : op == Op::Quantize   ? "quantize"
                             : op == Op::Dequantize ? "dequantize"
                                                    : "prepack";
    KernelSpec spec = plain;
    spec.n = 4;
    expectRefused(spec, "kernel spec field n='4': belongs to linear, conv2d and linear_input_gradient, must be 0 for " +
                            name);
    spec = plain;
    spec.compute = Compute::I8;
    expectRefused(
        spec,
        "kernel spec field compute='i8': belongs to linear, conv2d and linear_input_gradient, must be f32 for " + name);
    spec = plain;
    spec.rows = 1;
    expectRefused(spec,
                  "kernel spec field rows='1': belongs to linear and linear_input_gradient, must be 0 for " + name);
    spec = plain;
    spec.hasBias = true;
    expectRefused(spec, "kernel spec field bias='1': belongs to linear and conv2d, must be 0 for " + name);
    spec = plain;
    spec.activation = Activation::Silu;
    expectRefused(spec, "kernel spec field activation='silu': belongs to linear and conv2d, must be none for " + name);
    if (op != Op::Prepack) {
      spec = plain;
      spec.permuted = true;
      expectRefused(spec, "kernel spec field permuted='1': belongs to linear, prepack, conv2d and "
                          "linear_input_gradient, must be 0 for " +
                              name);
    }
    spec = plain;
    spec.rounding = Rounding::Residual;
    expectRefused(spec, "kernel spec field rounding='residual': belongs to update, must be nearest for " + name);
  }
}

TEST(KernelSpec, GradientsAreSummedInFloats) {
  KernelSpec spec = gradientSpec();
  EXPECT_TRUE(spec.verify());
  spec.compute = Compute::I8;
  expectRefused(spec, "kernel spec field compute='i8': gradients are summed in f32 or bf16");
  spec = gradientSpec();
  spec.hasBias = true;
  expectRefused(spec, "kernel spec field bias='1': belongs to linear and conv2d, must be 0 for linear_input_gradient");
  spec = gradientSpec();
  spec.rows = KernelSpec::maxExactRows + 1;
  expectRefused(spec, "kernel spec field rows='" + std::to_string(spec.rows) + "': must be 0 (any) or 1.." +
                          std::to_string(KernelSpec::maxExactRows) + " for linear_input_gradient");
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
  expectRefused(spec,
                "kernel spec field data='f16': belongs to linear, quantize, update, update_dense, conv2d, "
                "fake_quantize, fake_quantize_grad, magnitude_sums, diffq_noise, diffq_noise_grad, weight_range and "
                "linear_input_gradient, must be f32 for embedding");
  spec = rowSpec(Op::Quantize, "int4");
  spec.dataType = ElementType::BF16;
  EXPECT_TRUE(spec.verify());
}

TEST(KernelSpec, VerifyKnowsWhatAnUpdateCanDo) {
  auto refused = [](KernelSpec spec, const std::function<void(KernelSpec &)> &change, const std::string &message) {
    EXPECT_TRUE(spec.verify()) << spec.str();
    change(spec);
    expectRefused(spec, "kernel spec field " + message);
  };
  refused(
      denseSpec(), [](KernelSpec &s) { s.format = *Format::parse("sign"); },
      "format='sign': belongs to linear, embedding, quantize, dequantize, prepack, update, conv2d, fake_quantize, "
      "fake_quantize_grad and linear_input_gradient, must be int8 for update_dense");
  refused(
      denseSpec(), [](KernelSpec &s) { s.rule = UpdateRule::SignMomentum; },
      "rule='sign_momentum': is the rule of format sign: use adam or direction");
  refused(
      denseSpec(), [](KernelSpec &s) { s.rule = UpdateRule::Direction; },
      "moments='f32': rule direction has no moments: use none");
  refused(
      denseSpec(), [](KernelSpec &s) { s.moments = MomentType::None; },
      "moments='none': rule adam has moments: use f32, f16, bf16 or block8");
  refused(
      updateSpec("int4"), [](KernelSpec &s) { s.format = *Format::parse("nf4"); },
      "format='nf4': update steps on int, uint and sign");
  refused(
      updateSpec("sign"), [](KernelSpec &s) { s.rule = UpdateRule::Adam; },
      "rule='adam': format sign has the rule sign_momentum, and no other format has it");
  refused(
      updateSpec("sign"), [](KernelSpec &s) { s.biasCorrection = true; },
      "correction='1': belongs to rule adam, must be 0 for rule sign_momentum");
  refused(
      updateSpec("sign"), [](KernelSpec &s) { s.rounding = Rounding::Residual; },
      "rounding='residual': format sign keeps signs only: use nearest");
  refused(
      updateSpec("sign"), [](KernelSpec &s) { s.scaling = ScaleUpdate::Group; },
      "scaling='group': format sign keeps its scales unread: use keep, and scale=f32");
  refused(
      updateSpec("uint4"), [](KernelSpec &s) { s.scaling = ScaleUpdate::Tensor; },
      "scaling='tensor': a scale for all rows is one of int formats without groups");
}

TEST(KernelSpec, NamesAreSymbols) {
  EXPECT_EQ(linearSpec().name(), "bq_f16_uint4g128sbf16zu8_linear_i16_permuted_bias_gelu_tanh__n11008k4096m3");
  EXPECT_EQ(conv2dSpec().name(), "bq_f16_uint4g128sbf16zu8_conv2d_3x4_i16_permuted_bias_gelu_tanh__n11008k4608");
  EXPECT_EQ(rowSpec(Op::Quantize, "nf4").name(), "bq_f32_nf4sf32_quantize__k100");
  KernelSpec prepack = rowSpec(Op::Prepack, "sign");
  EXPECT_EQ(prepack.name(), "bq_signsf32_prepack__k100");
  prepack.permuted = true;
  EXPECT_EQ(prepack.name(), "bq_signsf32_prepack_permuted__k100");
  EXPECT_EQ(gradientSpec().name(), "bq_f16_uint4g128sbf16zu8_linear_input_gradient_bf16_permuted__n11008k4096m3");
  EXPECT_EQ(rowSpec(Op::Embedding, "uint8:g32").name(), "bq_uint8g32sf32zu8_embedding__k100");
  EXPECT_EQ(updateSpec("uint4:g32").name(), "bq_f32_uint4g32sf32zu8_update_adam_f32_nearest_keep__k100");
  EXPECT_EQ(denseSpec().name(), "bq_f32_f32_update_dense_adam_f32");
  for (const KernelSpec &spec : neighbours())
    for (char c : spec.name())
      EXPECT_TRUE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_') << spec.name();
}
