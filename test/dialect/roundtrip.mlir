// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -split-input-file --verify-roundtrip | FileCheck %s
// RUN: bq-opt %s -split-input-file --mlir-print-op-generic --mlir-print-local-scope | FileCheck %s --check-prefix=GENERIC

// Every attribute, type and op, each optional part present and absent.

// CHECK-LABEL: func.func private @formats
// CHECK-SAME: a0 = #bq.format<"int2">, a1 = #bq.format<"int8:g32">, a2 = #bq.format<"uint1:g7">, a3 = #bq.format<"uint8">
// CHECK-SAME: b0 = #bq.format<"nf4:g64">, b1 = #bq.format<"fp4">, b2 = #bq.format<"lut1:g16">, b3 = #bq.format<"lut4">
// CHECK-SAME: c0 = #bq.format<"sign">
func.func private @formats() attributes {
  a0 = #bq.format<"int2">, a1 = #bq.format<"int8:g32">, a2 = #bq.format<"uint1:g7">, a3 = #bq.format<"uint8">,
  b0 = #bq.format<"nf4:g64">, b1 = #bq.format<"fp4">, b2 = #bq.format<"lut1:g16">, b3 = #bq.format<"lut4">,
  c0 = #bq.format<"sign">
}

// CHECK-LABEL: func.func private @computes
// CHECK-SAME: a = #bq.compute<f32>, b = #bq.compute<bf16>, c = #bq.compute<i16>, d = #bq.compute<i8>
func.func private @computes() attributes {
  a = #bq.compute<f32>, b = #bq.compute<bf16>, c = #bq.compute<i16>, d = #bq.compute<i8>
}

// CHECK-LABEL: func.func private @activations
// CHECK-SAME: a = #bq.activation<none>, b = #bq.activation<relu>, c = #bq.activation<gelu>
// CHECK-SAME: d = #bq.activation<gelu_tanh>, e = #bq.activation<silu>
func.func private @activations() attributes {
  a = #bq.activation<none>, b = #bq.activation<relu>, c = #bq.activation<gelu>,
  d = #bq.activation<gelu_tanh>, e = #bq.activation<silu>
}

// CHECK-LABEL: func.func private @layouts
// CHECK-SAME: a = #bq.layout<lanes = 16, planes = [4], segment = 128, padded = 128>
// CHECK-SAME: b = #bq.layout<lanes = 4, planes = [4, 2, 1], segment = 100, padded = 128>
func.func private @layouts() attributes {
  a = #bq.layout<lanes = 16, planes = [4], segment = 128, padded = 128>,
  b = #bq.layout<lanes = 4, planes = [4, 2, 1], segment = 100, padded = 128>
}

// Fields that do not apply are left out; their order on input is free.

// CHECK-LABEL: func.func private @schedules
// CHECK-SAME: a = #bq.schedule<rows>
// CHECK-SAME: b = #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 16, planes = [2, 1], segment = 32, padded = 32>>
// CHECK-SAME: c = #bq.schedule<panel, rows = 6, vectors = 4>
func.func private @schedules() attributes {
  a = #bq.schedule<rows>,
  b = #bq.schedule<stream, layout = <lanes = 16, planes = [2, 1], segment = 32, padded = 32>, vectors = 1, rows = 1>,
  c = #bq.schedule<panel, rows = 6, vectors = 4>
}

// CHECK-LABEL: func.func private @weights
// CHECK-SAME: (!bq.weight<64x256, "int4:g128", f16>, !bq.weight<?x256, "sign", f32>
// CHECK-SAME: !bq.weight<64x256, "uint4:g32", bf16, zero = u8>, !bq.weight<64x256, "uint3", f32, zero = f32>)
func.func private @weights(!bq.weight<64x256, "int4:g128", f16>, !bq.weight<?x256, "sign", f32>,
                           !bq.weight<64x256, "uint4:g32", bf16, zero = u8>, !bq.weight<64x256, "uint3", f32, zero = f32>)

// -----

// CHECK-LABEL: func.func @linear_plain
// CHECK: bq.linear %{{.*}}, %{{.*}} {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
// GENERIC: "bq.linear"(%{{.*}}, %{{.*}}) <{compute = #bq.compute<f32>, operandSegmentSizes = array<i32: 1, 1, 0, 0>}> : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
func.func @linear_plain(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @linear_with_everything
// CHECK: bq.linear %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<64xf32>)
// CHECK-SAME: activation = #bq.activation<gelu_tanh>, compute = #bq.compute<i8>, permuted
// CHECK-SAME: schedule = #bq.schedule<reference, rows = 1>
func.func @linear_with_everything(%x: tensor<4x256xbf16>, %w: !bq.weight<64x256, "uint4:g32", f16, zero = u8>, %b: tensor<64xf32>) -> tensor<4x64xbf16> {
  %y = bq.linear %x, %w bias(%b : tensor<64xf32>)
      {activation = #bq.activation<gelu_tanh>, compute = #bq.compute<i8>, permuted, schedule = #bq.schedule<reference, rows = 1>}
      : (tensor<4x256xbf16>, !bq.weight<64x256, "uint4:g32", f16, zero = u8>) -> tensor<4x64xbf16>
  return %y : tensor<4x64xbf16>
}

// CHECK-LABEL: func.func @linear_with_quantized_activations
// CHECK: bq.linear %{{.*}}, %{{.*}} quantized(%{{.*}} : tensor<f32>) {activationBits = 4 : i64, compute = #bq.compute<i8>} :
func.func @linear_with_quantized_activations(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>, %s: tensor<f32>) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w quantized(%s : tensor<f32>) {activationBits = 4, compute = #bq.compute<i8>}
      : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @linear_with_column_factors
// CHECK: bq.linear %{{.*}}, %{{.*}} {columnFactors, compute = #bq.compute<f32>} :
func.func @linear_with_column_factors(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w {columnFactors, compute = #bq.compute<f32>}
      : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @conv2d_plain
// CHECK: bq.conv2d %{{.*}}, %{{.*}} {compute = #bq.compute<f32>, kernel = array<i64: 3, 5>} : (tensor<?x16x?x?xf32>, !bq.weight<64x240, "int4:g16", f32>) -> tensor<?x64x?x?xf32>
// GENERIC: "bq.conv2d"(%{{.*}}, %{{.*}}) <{compute = #bq.compute<f32>, groups = 1 : i64, kernel = array<i64: 3, 5>, operandSegmentSizes = array<i32: 1, 1, 0, 0>}>
func.func @conv2d_plain(%x: tensor<?x16x?x?xf32>, %w: !bq.weight<64x240, "int4:g16", f32>) -> tensor<?x64x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 5>, compute = #bq.compute<f32>}
      : (tensor<?x16x?x?xf32>, !bq.weight<64x240, "int4:g16", f32>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}

// CHECK-LABEL: func.func @conv2d_with_everything
// CHECK: bq.conv2d %{{.*}}, %{{.*}} bias(%{{.*}} : tensor<64xf32>) quantized(%{{.*}} : tensor<f32>)
// CHECK-SAME: {activation = #bq.activation<relu>, activationBits = 8 : i64, compute = #bq.compute<i8>, dilation = array<i64: 2, 1>, groups = 2 : i64
// CHECK-SAME: kernel = array<i64: 3, 3>, padding = array<i64: 1, 0>, permuted, stride = array<i64: 2, 2>}
func.func @conv2d_with_everything(%x: tensor<2x32x9x9xf16>, %w: !bq.weight<64x144, "int4:g16", f32>, %b: tensor<64xf32>, %s: tensor<f32>) -> tensor<2x64x4x4xf16> {
  %y = bq.conv2d %x, %w bias(%b : tensor<64xf32>) quantized(%s : tensor<f32>)
      {kernel = array<i64: 3, 3>, stride = array<i64: 2, 2>, padding = array<i64: 1, 0>, dilation = array<i64: 2, 1>, groups = 2,
       activation = #bq.activation<relu>, activationBits = 8, compute = #bq.compute<i8>, permuted}
      : (tensor<2x32x9x9xf16>, !bq.weight<64x144, "int4:g16", f32>) -> tensor<2x64x4x4xf16>
  return %y : tensor<2x64x4x4xf16>
}

// CHECK-LABEL: func.func @embedding
// CHECK: bq.embedding %{{.*}}, %{{.*}} : (tensor<?xi64>, !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32>
// CHECK: bq.embedding %{{.*}}, %{{.*}} {schedule = #bq.schedule<rows>} :
func.func @embedding(%i: tensor<?xi64>, %w: !bq.weight<?x384, "int8", f32>) -> (tensor<?x384xf32>, tensor<?x384xf32>) {
  %y = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32>
  %z = bq.embedding %i, %w {schedule = #bq.schedule<rows>} : (tensor<?xi64>, !bq.weight<?x384, "int8", f32>) -> tensor<?x384xf32>
  return %y, %z : tensor<?x384xf32>, tensor<?x384xf32>
}

// CHECK-LABEL: func.func @quantize
// CHECK: bq.quantize %{{.*}} : tensor<?x384xf16> -> !bq.weight<?x384, "uint4:g32", f16, zero = u8>
func.func @quantize(%x: tensor<?x384xf16>) -> !bq.weight<?x384, "uint4:g32", f16, zero = u8> {
  %w = bq.quantize %x : tensor<?x384xf16> -> !bq.weight<?x384, "uint4:g32", f16, zero = u8>
  return %w : !bq.weight<?x384, "uint4:g32", f16, zero = u8>
}

// CHECK-LABEL: func.func @dequantize
// CHECK: bq.dequantize %{{.*}} : !bq.weight<16x384, "lut3:g64", bf16> -> tensor<16x384xbf16>
func.func @dequantize(%w: !bq.weight<16x384, "lut3:g64", bf16>) -> tensor<16x384xbf16> {
  %x = bq.dequantize %w : !bq.weight<16x384, "lut3:g64", bf16> -> tensor<16x384xbf16>
  return %x : tensor<16x384xbf16>
}

// CHECK-LABEL: func.func @prepack
// CHECK: bq.prepack %{{.*}} {order = #bq.fragments<planes = [2, 1], segment = 100, padded = 128>, permuted} : !bq.weight<?x384, "int3:g100", f16>
func.func @prepack(%w: !bq.weight<?x384, "int3:g100", f16>) -> !bq.weight<?x384, "int3:g100", f16> {
  %p = bq.prepack %w {order = #bq.fragments<planes = [2, 1], segment = 100, padded = 128>, permuted} : !bq.weight<?x384, "int3:g100", f16>
  return %p : !bq.weight<?x384, "int3:g100", f16>
}

// CHECK-LABEL: func.func @bias_of_channels
// CHECK: bq.add_bias %{{.*}}, %{{.*}} : tensor<?x64x?x?xf16>, tensor<64xf32>
func.func @bias_of_channels(%x: tensor<?x64x?x?xf16>, %b: tensor<64xf32>) -> tensor<?x64x?x?xf16> {
  %0 = bq.add_bias %x, %b : tensor<?x64x?x?xf16>, tensor<64xf32>
  return %0 : tensor<?x64x?x?xf16>
}

// CHECK-LABEL: func.func @what_follows
// CHECK: bq.add_bias %{{.*}}, %{{.*}} : tensor<?x64xf16>, tensor<64xf32>
// CHECK: bq.activate %{{.*}} {activation = #bq.activation<silu>} : tensor<?x64xf16>
func.func @what_follows(%x: tensor<?x64xf16>, %b: tensor<64xf32>) -> tensor<?x64xf16> {
  %0 = bq.add_bias %x, %b : tensor<?x64xf16>, tensor<64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<silu>} : tensor<?x64xf16>
  return %1 : tensor<?x64xf16>
}

// CHECK-LABEL: func.func @fake_quantize
// CHECK: bq.fake_quantize %{{.*}}, %{{.*}} {format = #bq.format<"int4">} : tensor<?x?xf16>, tensor<?xf32>
// CHECK: bq.fake_quantize_grad %{{.*}}, %{{.*}}, %{{.*}} zero(%{{.*}} : tensor<?xf32>) {format = #bq.format<"uint8">} : tensor<?x?xf16>, tensor<?xf32>
func.func @fake_quantize(%x: tensor<?x?xf16>, %s: tensor<?xf32>) -> (tensor<?x?xf16>, tensor<?xf32>) {
  %0 = bq.fake_quantize %x, %s {format = #bq.format<"int4">} : tensor<?x?xf16>, tensor<?xf32>
  %1, %2 = bq.fake_quantize_grad %0, %x, %s zero(%s : tensor<?xf32>) {format = #bq.format<"uint8">}
    : tensor<?x?xf16>, tensor<?xf32>
  return %1, %2 : tensor<?x?xf16>, tensor<?xf32>
}

// -----

// The tile level. `max` is 255 where nothing is said, and is then not printed.

// CHECK-LABEL: func.func @dot
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} {max = 15 : i64} : vector<16xi32>, vector<64xi8>
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<64xi8>
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<8xf32>, vector<16xbf16>
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<32xi16>
func.func @dot(%a: vector<16xi32>, %w: vector<64xi8>, %x: vector<64xi8>, %c: vector<8xf32>, %v: vector<16xbf16>,
               %u: vector<32xi16>) {
  %0 = bq.dot %a, %w, %x {max = 15} : vector<16xi32>, vector<64xi8>
  %1 = bq.dot %0, %w, %x {max = 255} : vector<16xi32>, vector<64xi8>
  %2 = bq.dot %c, %v, %v : vector<8xf32>, vector<16xbf16>
  %3 = bq.dot %a, %u, %u : vector<16xi32>, vector<32xi16>
  return
}

// CHECK-LABEL: func.func @lookup
// CHECK: bq.lookup %{{.*}}, %{{.*}} : vector<16xi8>, vector<64xi8> -> vector<64xi8>
// CHECK: bq.lookup %{{.*}}, %{{.*}} : vector<32xi16>, vector<32xi16> -> vector<32xi16>
// CHECK: bq.lookup %{{.*}}, %{{.*}} : vector<16xf32>, vector<8xi32> -> vector<8xf32>
func.func @lookup(%b: vector<16xi8>, %bi: vector<64xi8>, %h: vector<32xi16>, %f: vector<16xf32>, %fi: vector<8xi32>) {
  %0 = bq.lookup %b, %bi : vector<16xi8>, vector<64xi8> -> vector<64xi8>
  %1 = bq.lookup %h, %h : vector<32xi16>, vector<32xi16> -> vector<32xi16>
  %2 = bq.lookup %f, %fi : vector<16xf32>, vector<8xi32> -> vector<8xf32>
  return
}

// CHECK-LABEL: func.func @philox
// CHECK: bq.philox %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {rounds = 7 : i64} : vector<8xi32>
// CHECK: bq.philox %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {rounds = 10 : i64} : i32
func.func @philox(%c: vector<8xi32>, %k: i32) {
  %0:4 = bq.philox %c, %c, %c, %c, %k, %k {rounds = 7} : vector<8xi32>
  %1:4 = bq.philox %k, %k, %k, %k, %k, %k {rounds = 10} : i32
  return
}

// -----

// CHECK-LABEL: func.func @update
// CHECK: bq.update %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {rounding = #bq.rounding<residual>, rule = #bq.update_rule<direction>, scaling = #bq.scale_update<group>}
// CHECK: bq.update %{{.*}} {rounding = #bq.rounding<nearest>, rule = #bq.update_rule<sign_momentum>, scaling = #bq.scale_update<keep>}
!u = !bq.weight<?x300, "uint4:g100", f16, zero = f32>
!s = !bq.weight<?x300, "sign", f32>
func.func @update(%w: !u, %g: tensor<?x300xbf16>, %o: tensor<9xf32>, %c: tensor<4xi32>, %r: tensor<?x300xi8>, %b: !s,
                  %m: tensor<?x300xi8>, %ms: tensor<?x2xf32>) -> (!u, !s) {
  %0:2 = bq.update %w, %g, %o, %c, %r {rule = #bq.update_rule<direction>, rounding = #bq.rounding<residual>,
                                      scaling = #bq.scale_update<group>}
    : (!u, tensor<?x300xbf16>, tensor<9xf32>, tensor<4xi32>, tensor<?x300xi8>) -> (!u, tensor<?x300xi8>)
  %1:5 = bq.update %b, %g, %o, %c, %m, %ms, %m, %ms {rule = #bq.update_rule<sign_momentum>,
                                                    rounding = #bq.rounding<nearest>,
                                                    scaling = #bq.scale_update<keep>}
    : (!s, tensor<?x300xbf16>, tensor<9xf32>, tensor<4xi32>, tensor<?x300xi8>, tensor<?x2xf32>, tensor<?x300xi8>,
       tensor<?x2xf32>) -> (!s, tensor<?x300xi8>, tensor<?x2xf32>, tensor<?x300xi8>, tensor<?x2xf32>)
  return %0#0, %1#0 : !u, !s
}

// -----

// CHECK-LABEL: func.func @noise
// CHECK: bq.weight_range %{{.*}} : (tensor<?xbf16>) -> (tensor<?xf32>, tensor<?xf32>)
// CHECK: bq.diffq_noise %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {group = 8 : i64, noise = #bq.noise<gaussian>, rounds = 7 : i64}
// CHECK: bq.diffq_noise_grad %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {group = 0 : i64, noise = #bq.noise<uniform>, rounds = 10 : i64}
func.func @noise(%w: tensor<?xbf16>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) {
  %low, %high = bq.weight_range %w : (tensor<?xbf16>) -> (tensor<?xf32>, tensor<?xf32>)
  %n = bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<gaussian>, group = 8 : i64, rounds = 7 : i64}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xbf16>
  %g:3 = bq.diffq_noise_grad %n, %b, %s, %c {noise = #bq.noise<uniform>, group = 0 : i64, rounds = 10 : i64}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return
}

// -----

// CHECK-LABEL: @linear_input_gradient
func.func @linear_input_gradient(%dy: tensor<?x64xf16>, %w: !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x256xf16> {
  // CHECK: bq.linear_input_gradient %{{.*}}, %{{.*}} {compute = #bq.compute<f32>, permuted} : (tensor<?x64xf16>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x256xf16>
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>, permuted} : (tensor<?x64xf16>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x256xf16>
  return %dx : tensor<?x256xf16>
}
