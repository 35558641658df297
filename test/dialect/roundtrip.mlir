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
// GENERIC: "bq.linear"(%{{.*}}, %{{.*}}) <{compute = #bq.compute<f32>}> : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64xf32>
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

// CHECK-LABEL: func.func @what_follows
// CHECK: bq.add_bias %{{.*}}, %{{.*}} : tensor<?x64xf16>, tensor<64xf32>
// CHECK: bq.activate %{{.*}} {activation = #bq.activation<silu>} : tensor<?x64xf16>
func.func @what_follows(%x: tensor<?x64xf16>, %b: tensor<64xf32>) -> tensor<?x64xf16> {
  %0 = bq.add_bias %x, %b : tensor<?x64xf16>, tensor<64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<silu>} : tensor<?x64xf16>
  return %1 : tensor<?x64xf16>
}

// -----

// The tile level. `max` is 255 where nothing is said, and is then not printed.

// CHECK-LABEL: func.func @dot
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} {max = 15 : i64} : vector<16xi32>, vector<64xi8>
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<16xi32>, vector<64xi8>
// CHECK: bq.dot %{{.*}}, %{{.*}}, %{{.*}} : vector<8xf32>, vector<16xbf16>
func.func @dot(%a: vector<16xi32>, %w: vector<64xi8>, %x: vector<64xi8>, %c: vector<8xf32>, %v: vector<16xbf16>) {
  %0 = bq.dot %a, %w, %x {max = 15} : vector<16xi32>, vector<64xi8>
  %1 = bq.dot %0, %w, %x {max = 255} : vector<16xi32>, vector<64xi8>
  %2 = bq.dot %c, %v, %v : vector<8xf32>, vector<16xbf16>
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
