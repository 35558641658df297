// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -split-input-file -verify-diagnostics

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

// expected-error@+1 {{format 'int16:g32' has 16 bits: use int2..int8, uint1..uint8, nf4, fp4, lut1..lut4 or mixed with an optional group size as in int4:g128, or sign}}
#f = #bq.format<"int16:g32">

// -----

// expected-error@+1 {{format 'int1' has 1 bits}}
#f = #bq.format<"int1">

// -----

// expected-error@+1 {{format 'uint0' has 0 bits}}
#f = #bq.format<"uint0">

// -----

// expected-error@+1 {{format 'nf3' has 3 bits}}
#f = #bq.format<"nf3">

// -----

// expected-error@+1 {{format 'lut5' has 5 bits}}
#f = #bq.format<"lut5">

// -----

// expected-error@+1 {{format 'int' has no number of bits}}
#f = #bq.format<"int">

// -----

// expected-error@+1 {{format 'int4x' has no number of bits}}
#f = #bq.format<"int4x">

// -----

// expected-error@+1 {{format 'int4:g' has 'g' where a group size is expected}}
#f = #bq.format<"int4:g">

// -----

// expected-error@+1 {{format 'int4:64' has '64' where a group size is expected}}
#f = #bq.format<"int4:64">

// -----

// expected-error@+1 {{format 'int4:g-8' has 'g-8' where a group size is expected}}
#f = #bq.format<"int4:g-8">

// -----

// expected-error@+1 {{format 'int4:g99999999999999999999' has 'g99999999999999999999' where a group size is expected}}
#f = #bq.format<"int4:g99999999999999999999">

// -----

// expected-error@+1 {{format 'int4:g0' has group size 0, which must be positive}}
#f = #bq.format<"int4:g0">

// -----

// expected-error@+1 {{format 'sign:g8' has a group size, but sign has one scale for a row and one for a column}}
#f = #bq.format<"sign:g8">

// -----

// expected-error@+1 {{format 'mixed:g0' has group size 0, which must be positive}}
#f = #bq.format<"mixed:g0">

// -----

// expected-error@+1 {{format 'float4' is not known}}
#f = #bq.format<"float4">

// -----

// expected-error@+1 {{expected string}}
#f = #bq.format<int4>

// -----

// expected-error@+1 {{expected '>'}}
#f = #bq.format<"int4" "int8">

// -----

//===----------------------------------------------------------------------===//
// Other attributes
//===----------------------------------------------------------------------===//

// expected-error@+1 {{compute 'i4' is not known: use one of f32, bf16, i16, i8}}
#c = #bq.compute<i4>

// -----

// expected-error@+1 {{expected valid keyword}}
#c = #bq.compute<"i8">

// -----

// expected-error@+1 {{expected '>'}}
#c = #bq.compute<i8, i16>

// -----

// expected-error@+1 {{activation 'tanh' is not known: use one of none, relu, gelu, gelu_tanh, silu}}
#a = #bq.activation<tanh>

// -----

// expected-error@+1 {{expected 'rows', 'vectors', 'splits' or 'layout', got 'columns'}}
#s = #bq.schedule<panel, columns = 4>

// -----

// expected-error@+1 {{expected integer value}}
#s = #bq.schedule<panel, rows = many>

// -----

// expected-error@+1 {{expected 'planes'}}
#l = #bq.layout<lanes = 16, segment = 128, padded = 128>

// -----

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

// expected-error@+1 {{expected a shape N x K, got 3 dimensions}}
func.func private @weight_shape(!bq.weight<2x64x256, "int4", f32>)

// -----

// expected-error@+1 {{format 'int9' has 9 bits}}
func.func private @weight_format(!bq.weight<64x256, "int9", f32>)

// -----

// expected-error@+1 {{expected scales of type f32, f16 or bf16, got 'f64'}}
func.func private @weight_scale(!bq.weight<64x256, "int4", f64>)

// -----

// expected-error@+1 {{zero point type 'i8' is not known: use one of none, u8, f32}}
func.func private @weight_zero_type(!bq.weight<64x256, "uint4", f32, zero = i8>)

// -----

// expected-error@+1 {{expected a positive number of columns}}
func.func private @weight_c1_dynamic_columns(!bq.weight<64x?, "int4", f32>)

// -----

// expected-error@+1 {{expected a positive number of columns}}
func.func private @weight_c1_no_columns(!bq.weight<64x0, "int4", f32>)

// -----

// expected-error@+1 {{expected a positive number of rows, got 0}}
func.func private @weight_c1_no_rows(!bq.weight<0x256, "int4", f32>)

// -----

// expected-error@+1 {{expected 'zero' for format uint4:g32}}
func.func private @weight_c2_zero_missing(!bq.weight<64x256, "uint4:g32", f32>)

// -----

// expected-error@+1 {{expected 'zero' for formats with zero points only, got format int4:g32}}
func.func private @weight_c2_zero_given(!bq.weight<64x256, "int4:g32", f32, zero = u8>)

// -----

//===----------------------------------------------------------------------===//
// bq.linear
//===----------------------------------------------------------------------===//

func.func @linear_c1_input_columns(%x: tensor<?x255xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{'bq.linear' op expected 'input' of shape [?, 256], got 'tensor<?x255xf32>'}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x255xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c2_weight_rows(%x: tensor<?x256xf32>, %w: !bq.weight<?x256, "int4", f32>) {
  // expected-error@+1 {{expected 'weight' with a static number of rows, got '!bq.weight<?x256, "int4", f32>'}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !bq.weight<?x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c3_bias_shape(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %b: tensor<256xf32>) {
  // expected-error@+1 {{expected 'bias' of shape [64], got 'tensor<256xf32>'}}
  %y = bq.linear %x, %w bias(%b : tensor<256xf32>) {compute = #bq.compute<f32>}
      : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c4_result_columns(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{expected 'result' of shape [?, 64], got 'tensor<?x256xf32>'}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x256xf32>
  return
}

// -----

func.func @linear_c4_result_rows(%x: tensor<3x256xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{expected 'result' of shape [3, 64], got 'tensor<?x64xf32>'}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<3x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c4_result_element(%x: tensor<?x256xf16>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{expected 'result' with elements of type 'f16', got 'f32'}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf16>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_without_compute(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{'bq.linear' op requires attribute 'compute'}}
  %y = bq.linear %x, %w : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_c5_scale_without_bits(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected 'quantized' and 'activationBits' together}}
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @linear_c5_bits_without_scale(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected 'quantized' and 'activationBits' together}}
  %y = bq.linear %x, %w {activationBits = 4, compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @linear_c5_nine_bits(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected 'activationBits' between 1 and 8, got 9}}
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {activationBits = 9, compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @linear_c5_compute(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected compute i8 for quantized activations, got i16}}
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {activationBits = 8, compute = #bq.compute<i16>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @linear_c5_factors(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected columns without scales and factors for quantized activations}}
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {activationBits = 8, columnFactors, compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @linear_c6_sign(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "sign", f32>) -> tensor<?x64xf32> {
  // expected-error@+1 {{'bq.linear' op expected no 'columnFactors' for sign, whose columns have scales}}
  %y = bq.linear %x, %w {columnFactors, compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "sign", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

//===----------------------------------------------------------------------===//
// bq.conv2d
//===----------------------------------------------------------------------===//

func.func @conv2d_c1_kernel(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'kernel' of two numbers of at least 1, got 3}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c1_stride(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'stride' of two numbers of at least 1, got 0, 1}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, stride = array<i64: 0, 1>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c1_padding(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'padding' of two numbers of at least 0, got 0, -1}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, padding = array<i64: 0, -1>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c1_dilation(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'dilation' of two numbers of at least 1, got 1, 2, 3}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, dilation = array<i64: 1, 2, 3>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c2_rows(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<?x144, "int4", f32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'weight' with a static number of rows, got '!bq.weight<?x144}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<?x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c2_groups(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'groups' that divide the 64 rows of 'weight', got 3}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 3, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c3_columns(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'weight' with a multiple of 10 columns, got}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 2, 5>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c3_channels(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'input' of shape [?, 32, 8, 8], got 'tensor<?x16x8x8xf32>'}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 2, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c4_bias(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'bias' of shape [64], got 'tensor<144xf32>'}}
  %y = bq.conv2d %x, %w bias(%b : tensor<144xf32>) {kernel = array<i64: 3, 3>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

func.func @conv2d_c5_channels(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x16x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'result' of shape [?, 64, 6, 6], got 'tensor<?x16x6x6xf32>'}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>, padding = array<i64: 0, 0>, dilation = array<i64: 1, 1>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x16x6x6xf32>
  return %y : tensor<?x16x6x6xf32>
}

// -----

func.func @conv2d_c5_height(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x8x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'result' of shape [?, 64, 6, 6], got 'tensor<?x64x8x6xf32>'}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>, padding = array<i64: 0, 0>, dilation = array<i64: 1, 1>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x8x6xf32>
  return %y : tensor<?x64x8x6xf32>
}

// -----

func.func @conv2d_c5_type(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf16> {
  // expected-error@+1 {{'bq.conv2d' op expected 'result' with elements of type 'f32', got 'f16'}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, stride = array<i64: 1, 1>, padding = array<i64: 0, 0>, dilation = array<i64: 1, 1>, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf16>
  return %y : tensor<?x64x6x6xf16>
}

// -----

func.func @conv2d_c6_bits(%x: tensor<?x16x8x8xf32>, %w: !bq.weight<64x144, "int4", f32>, %b: tensor<144xf32>) -> tensor<?x64x6x6xf32> {
  // expected-error@+1 {{'bq.conv2d' op expected 'quantized' and 'activationBits' together}}
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, activationBits = 2, compute = #bq.compute<i8>} : (tensor<?x16x8x8xf32>, !bq.weight<64x144, "int4", f32>) -> tensor<?x64x6x6xf32>
  return %y : tensor<?x64x6x6xf32>
}

// -----

//===----------------------------------------------------------------------===//
// bq.embedding, bq.quantize, bq.dequantize
//===----------------------------------------------------------------------===//

func.func @embedding_c1_result_shape(%i: tensor<7xi64>, %w: !bq.weight<?x384, "int8", f32>) {
  // expected-error@+1 {{'bq.embedding' op expected 'result' of shape [7, 384], got 'tensor<?x384xf32>'}}
  %y = bq.embedding %i, %w : (tensor<7xi64>, !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32>
  return
}

// -----

func.func @embedding_c1_result_element(%i: tensor<?xi64>, %w: !bq.weight<?x384, "int8", f16>) {
  // expected-error@+1 {{expected 'result' with elements of type 'f16', got 'f32'}}
  %y = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x384, "int8", f16>) -> tensor<?x384xf32>
  return
}

// -----

func.func @quantize_c1_input_shape(%x: tensor<?x383xf32>) {
  // expected-error@+1 {{'bq.quantize' op expected 'input' of shape [?, 384], got 'tensor<?x383xf32>'}}
  %w = bq.quantize %x : tensor<?x383xf32> -> !bq.weight<?x384, "int4", f32>
  return
}

// -----

func.func @quantize_c1_input_rows(%x: tensor<?x384xf32>) {
  // expected-error@+1 {{expected 'input' of shape [16, 384], got 'tensor<?x384xf32>'}}
  %w = bq.quantize %x : tensor<?x384xf32> -> !bq.weight<16x384, "int4", f32>
  return
}

// -----

func.func @quantize_c2_lut(%x: tensor<?x384xf32>) {
  // expected-error@+1 {{expected a format whose codes follow from the weight, got lut4:g32}}
  %w = bq.quantize %x : tensor<?x384xf32> -> !bq.weight<?x384, "lut4:g32", f32>
  return
}

// -----

func.func @quantize_c3_zero_type(%x: tensor<?x384xf32>) {
  // expected-error@+1 {{expected zero points of type u8, got f32}}
  %w = bq.quantize %x : tensor<?x384xf32> -> !bq.weight<?x384, "uint4:g32", f32, zero = f32>
  return
}

// -----

func.func @dequantize_c1_result_shape(%w: !bq.weight<16x384, "int4", f32>) {
  // expected-error@+1 {{'bq.dequantize' op expected 'result' of shape [16, 384], got 'tensor<384x16xf32>'}}
  %x = bq.dequantize %w : !bq.weight<16x384, "int4", f32> -> tensor<384x16xf32>
  return
}

// -----

func.func @dequantize_c1_result_element(%w: !bq.weight<16x384, "int4", bf16>) {
  // expected-error@+1 {{expected 'result' with elements of type 'bf16', got 'f16'}}
  %x = bq.dequantize %w : !bq.weight<16x384, "int4", bf16> -> tensor<16x384xf16>
  return
}

// -----

func.func @prepack_c1_order(%w: !bq.weight<?x384, "int3:g100", f16>) {
  // expected-error@+1 {{'bq.prepack' op expected 'order' #bq.fragments<planes = [2, 1], segment = 100, padded = 128>, got #bq.fragments<planes = [2, 1], segment = 128, padded = 128>}}
  %p = bq.prepack %w {order = #bq.fragments<planes = [2, 1], segment = 128, padded = 128>} : !bq.weight<?x384, "int3:g100", f16>
  return
}

// -----

//===----------------------------------------------------------------------===//
// bq.add_bias, bq.activate
//===----------------------------------------------------------------------===//

func.func @add_bias_c1_bias_shape(%x: tensor<?x64xf32>, %b: tensor<65xf32>) {
  // expected-error@+1 {{'bq.add_bias' op expected 'bias' of shape [64], got 'tensor<65xf32>'}}
  %y = bq.add_bias %x, %b : tensor<?x64xf32>, tensor<65xf32>
  return
}

// -----

func.func @activate_without_activation(%x: tensor<?x64xf32>) {
  // expected-error@+1 {{'bq.activate' op requires attribute 'activation'}}
  %y = bq.activate %x : tensor<?x64xf32>
  return
}

// -----

//===----------------------------------------------------------------------===//
// bq.dot, bq.lookup
//===----------------------------------------------------------------------===//

func.func @dot_c1_lanes(%a: vector<8xi32>, %w: vector<64xi8>) {
  // expected-error@+1 {{'bq.dot' op expected four bytes or two words for each i32 lane or two bf16 for each f32 lane, got 'vector<64xi8>' for 'vector<8xi32>'}}
  %r = bq.dot %a, %w, %w : vector<8xi32>, vector<64xi8>
  return
}

// -----

func.func @dot_c1_word_lanes(%a: vector<16xi32>, %w: vector<64xi16>) {
  // expected-error@+1 {{got 'vector<64xi16>' for 'vector<16xi32>'}}
  %r = bq.dot %a, %w, %w : vector<16xi32>, vector<64xi16>
  return
}

// -----

func.func @dot_c1_bf16_lanes(%a: vector<8xf32>, %w: vector<32xbf16>) {
  // expected-error@+1 {{got 'vector<32xbf16>' for 'vector<8xf32>'}}
  %r = bq.dot %a, %w, %w : vector<8xf32>, vector<32xbf16>
  return
}

// -----

func.func @dot_c1_mixed(%a: vector<16xf32>, %w: vector<64xi8>) {
  // expected-error@+1 {{got 'vector<64xi8>' for 'vector<16xf32>'}}
  %r = bq.dot %a, %w, %w : vector<16xf32>, vector<64xi8>
  return
}

// -----

func.func @dot_c2_max_zero(%a: vector<16xi32>, %w: vector<64xi8>) {
  // expected-error@+1 {{expected 'max' between 1 and 255, got 0}}
  %r = bq.dot %a, %w, %w {max = 0} : vector<16xi32>, vector<64xi8>
  return
}

// -----

func.func @dot_c2_max_above(%a: vector<16xi32>, %w: vector<64xi8>) {
  // expected-error@+1 {{expected 'max' between 1 and 255, got 256}}
  %r = bq.dot %a, %w, %w {max = 256} : vector<16xi32>, vector<64xi8>
  return
}

// -----

func.func @lookup_c1_table_size(%t: vector<32xi8>, %i: vector<64xi8>) {
  // expected-error@+1 {{'bq.lookup' op expected a table of 16 x i8, 32 x i16 or 16 x f32 and indices of the same width, got 'vector<32xi8>' and 'vector<64xi8>'}}
  %r = bq.lookup %t, %i : vector<32xi8>, vector<64xi8> -> vector<64xi8>
  return
}

// -----

func.func @lookup_c1_table_of_words(%t: vector<16xi16>, %i: vector<32xi16>) {
  // expected-error@+1 {{got 'vector<16xi16>' and 'vector<32xi16>'}}
  %r = bq.lookup %t, %i : vector<16xi16>, vector<32xi16> -> vector<32xi16>
  return
}

// -----

func.func @lookup_c1_index_width(%t: vector<16xf32>, %i: vector<16xi8>) {
  // expected-error@+1 {{got 'vector<16xf32>' and 'vector<16xi8>'}}
  %r = bq.lookup %t, %i : vector<16xf32>, vector<16xi8> -> vector<16xf32>
  return
}

// -----

func.func @lookup_c2_result_lanes(%t: vector<16xf32>, %i: vector<16xi32>) {
  // expected-error@+1 {{expected 'result' of type 'vector<16xf32>', got 'vector<8xf32>'}}
  %r = bq.lookup %t, %i : vector<16xf32>, vector<16xi32> -> vector<8xf32>
  return
}

// -----

func.func @lookup_c2_result_element(%t: vector<16xi8>, %i: vector<16xi8>) {
  // expected-error@+1 {{expected 'result' of type 'vector<16xi8>', got 'vector<16xi16>'}}
  %r = bq.lookup %t, %i : vector<16xi8>, vector<16xi8> -> vector<16xi16>
  return
}

// -----

func.func @fake_quantize_c1_table(%x: tensor<?x?xf32>, %s: tensor<?xf32>) -> tensor<?x?xf32> {
  // expected-error@+1 {{expected a format int<b>, uint<b> or sign without a group size, got nf4}}
  %0 = bq.fake_quantize %x, %s {format = #bq.format<"nf4">} : tensor<?x?xf32>, tensor<?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @fake_quantize_c1_group(%x: tensor<?x?xf32>, %s: tensor<?xf32>) -> tensor<?x?xf32> {
  // expected-error@+1 {{expected a format int<b>, uint<b> or sign without a group size, got int4:g32}}
  %0 = bq.fake_quantize %x, %s {format = #bq.format<"int4:g32">} : tensor<?x?xf32>, tensor<?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @fake_quantize_c2_scale(%x: tensor<4x8xf32>, %s: tensor<8xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{expected 'scale' of shape [4], got 'tensor<8xf32>'}}
  %0 = bq.fake_quantize %x, %s {format = #bq.format<"int4">} : tensor<4x8xf32>, tensor<8xf32>
  return %0 : tensor<4x8xf32>
}

// -----

func.func @fake_quantize_grad_c3_zero(%x: tensor<4x8xf32>, %s: tensor<4xf32>, %z: tensor<1xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{expected 'zero' of shape [4], got 'tensor<1xf32>'}}
  %0, %1 = bq.fake_quantize_grad %x, %x, %s zero(%z : tensor<1xf32>) {format = #bq.format<"int4">}
    : tensor<4x8xf32>, tensor<4xf32>
  return %0 : tensor<4x8xf32>
}

// -----

func.func @fake_quantize_c3_sign(%x: tensor<4x8xf32>, %s: tensor<4xf32>) -> tensor<4x8xf32> {
  // expected-error@+1 {{expected no 'zero' for sign}}
  %0 = bq.fake_quantize %x, %s zero(%s : tensor<4xf32>) {format = #bq.format<"sign">} : tensor<4x8xf32>, tensor<4xf32>
  return %0 : tensor<4x8xf32>
}

// -----

!w = !bq.weight<?x32, "int4", f32>
func.func @update_c1_gradient(%w: !w, %g: tensor<?x31xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected 'gradient' of shape [?, 32], got 'tensor<?x31xf32>'}}
  "bq.update"(%w, %g, %o, %c, %m, %m) {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x31xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "int4", f32>
func.func @update_c2_count(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected 2 tensors of state, got 1}}
  "bq.update"(%w, %g, %o, %c, %m) {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "int4", f32>
func.func @update_c2_residual(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected 'residual' with elements of type 'i8', got 'f32'}}
  "bq.update"(%w, %g, %o, %c, %m) {rule = #bq.update_rule<direction>, rounding = #bq.rounding<residual>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "nf4", f32>
func.func @update_c3_table(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected a format int<b>, uint<b> or sign, got nf4}}
  "bq.update"(%w, %g, %o, %c, %m, %m) {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "sign", f32>
func.func @update_c3_sign(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected rule sign_momentum for sign and for nothing else, got adam}}
  "bq.update"(%w, %g, %o, %c, %m, %m) {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "sign", f32>
func.func @update_c3_correction(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected 'bias_correction' with rule adam only, got sign_momentum}}
  "bq.update"(%w, %g, %o, %c, %m, %m) {rule = #bq.update_rule<sign_momentum>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>, bias_correction}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "int4:g16", f32>
func.func @update_c3_tensor(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected a format int<b> without groups for scaling tensor}}
  "bq.update"(%w, %g, %o, %c, %m, %m) {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<tensor>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>)
  return
}

// -----

!w = !bq.weight<?x32, "sign", f32>
func.func @update_c3_rounding(%w: !w, %g: tensor<?x32xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x32xf32>,
                      %r: tensor<?x32xi8>) {
  // expected-error@+1 {{expected rounding nearest and scaling keep for sign}}
  "bq.update"(%w, %g, %o, %c, %m, %m, %r) {rule = #bq.update_rule<sign_momentum>, rounding = #bq.rounding<residual>, scaling = #bq.scale_update<keep>}
    : (!w, tensor<?x32xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xi8>) -> (!w, tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xi8>)
  return
}

// -----

func.func @update_c4_scaling(%w: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>) {
  // expected-error@+1 {{expected rounding nearest and scaling keep for a weight of floats}}
  "bq.update"(%w, %w, %o, %c) {rule = #bq.update_rule<direction>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<group>}
    : (tensor<?xf32>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>) -> tensor<?xf32>
  return
}

// -----

func.func @update_c5_results(%w: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>) {
  // expected-error@+1 {{expected results of the types of the weight and of the state}}
  "bq.update"(%w, %w, %o, %c) {rule = #bq.update_rule<direction>, rounding = #bq.rounding<nearest>, scaling = #bq.scale_update<keep>}
    : (tensor<?xf32>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>) -> tensor<?xf16>
  return
}

// -----

func.func @philox_c1_rounds(%c: i32) {
  // expected-error@+1 {{expected 'rounds' between 1 and 16, got 0}}
  %0:4 = bq.philox %c, %c, %c, %c, %c, %c {rounds = 0} : i32
  return
}

// -----

func.func @group_of_noise(%w: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) {
  // expected-error @below {{expected 'group' of 1 or more, or 0 for one group, got -1}}
  bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<uniform>, group = -1 : i64, rounds = 7 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xf32>
  return
}

// -----

func.func @rounds_of_noise(%w: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) {
  // expected-error @below {{expected 7 or 10 'rounds', got 8}}
  bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<uniform>, group = 8 : i64, rounds = 8 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xf32>
  return
}

// -----

func.func @bits_of_noise(%w: tensor<100xf32>, %b: tensor<12xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) {
  // expected-error @below {{expected 'bits' of shape [13], got 'tensor<12xf32>'}}
  bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<uniform>, group = 8 : i64, rounds = 7 : i64}
    : (tensor<100xf32>, tensor<12xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<100xf32>
  return
}

// -----

func.func @chunks_of_noise(%g: tensor<1025xf32>, %b: tensor<1xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) {
  // expected-error @below {{expected 'heads' of shape [2], got 'tensor<1xf32>'}}
  bq.diffq_noise_grad %g, %b, %s, %c {noise = #bq.noise<uniform>, group = 0 : i64, rounds = 7 : i64}
    : (tensor<1025xf32>, tensor<1xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<1xf32>, tensor<1xf32>, tensor<2xf32>)
  return
}

// -----

func.func @columns_of_magnitudes(%w: tensor<?x?xf32>, %r: tensor<?xf32>, %c: tensor<40xf32>, %f: tensor<1xf32>) {
  // expected-error @below {{expected 'input' with a static number of columns}}
  bq.magnitude_sums %w, %r, %c, %f : (tensor<?x?xf32>, tensor<?xf32>, tensor<40xf32>, tensor<1xf32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?x40xf32>)
  return
}

// -----

func.func @chunks_of_magnitudes(%w: tensor<65x40xf32>, %r: tensor<65xf32>, %c: tensor<40xf32>, %f: tensor<1xf32>) {
  // expected-error @below {{partials}}
  bq.magnitude_sums %w, %r, %c, %f : (tensor<65x40xf32>, tensor<65xf32>, tensor<40xf32>, tensor<1xf32>)
    -> (tensor<65xf32>, tensor<65xf32>, tensor<1x40xf32>)
  return
}

// -----

//===----------------------------------------------------------------------===//
// bq.linear_input_gradient
//===----------------------------------------------------------------------===//

func.func @linear_input_gradient_c1_columns(%dy: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{'bq.linear_input_gradient' op expected 'gradient' of shape [?, 64], got 'tensor<?x256xf32>'}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x256xf32>
  return
}

// -----

func.func @linear_input_gradient_c1_rows(%dy: tensor<?x64xf32>, %w: !bq.weight<?x256, "int4", f32>) {
  // expected-error@+1 {{expected 'weight' with a static number of rows}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>} : (tensor<?x64xf32>, !bq.weight<?x256, "int4", f32>) -> tensor<?x256xf32>
  return
}

// -----

func.func @linear_input_gradient_c2_shape(%dy: tensor<?x64xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{'bq.linear_input_gradient' op expected 'result' of shape [?, 256], got 'tensor<?x64xf32>'}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>} : (tensor<?x64xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return
}

// -----

func.func @linear_input_gradient_c3(%dy: tensor<?x64xf32>, %w: !bq.weight<64x256, "int4", f32>) {
  // expected-error@+1 {{'bq.linear_input_gradient' op expected compute f32 or bf16, got i8}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<i8>} : (tensor<?x64xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x256xf32>
  return
}
