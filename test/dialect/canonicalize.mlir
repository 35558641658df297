// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -canonicalize | FileCheck %s

!w = !bq.weight<64x256, "int4", f32>

// A bias that is a splat of zero goes, of either sign; the rest of the op stays.

// CHECK-LABEL: func.func @linear_zero_bias
// CHECK: bq.linear %{{[^ ]*}}, %{{[^ ]*}} {activation = #bq.activation<relu>, compute = #bq.compute<i8>} :
func.func @linear_zero_bias(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %b = arith.constant dense<-0.0> : tensor<64xf32>
  %y = bq.linear %x, %w bias(%b : tensor<64xf32>) {activation = #bq.activation<relu>, compute = #bq.compute<i8>}
      : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @linear_other_bias_stays
// CHECK: bq.linear {{.*}} bias(
func.func @linear_other_bias_stays(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %b = arith.constant dense<1.0e-38> : tensor<64xf32>
  %y = bq.linear %x, %w bias(%b : tensor<64xf32>) {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @linear_unknown_bias_stays
// CHECK: bq.linear {{.*}} bias(
func.func @linear_unknown_bias_stays(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w bias(%b : tensor<64xf32>) {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @add_bias_of_zero
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32>
// CHECK-NEXT: return %[[X]]
func.func @add_bias_of_zero(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %b = arith.constant dense<0.0> : tensor<64xf32>
  %y = bq.add_bias %x, %b : tensor<?x64xf32>, tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// One element that is not zero is enough for the bias to stay.

// CHECK-LABEL: func.func @add_bias_of_other_stays
// CHECK: bq.add_bias
func.func @add_bias_of_other_stays(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
  %b = arith.constant dense<[0.0, 1.0]> : tensor<2xf32>
  %y = bq.add_bias %x, %b : tensor<?x2xf32>, tensor<2xf32>
  return %y : tensor<?x2xf32>
}

// CHECK-LABEL: func.func @add_unknown_bias_stays
// CHECK: bq.add_bias
func.func @add_unknown_bias_stays(%x: tensor<?x64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %y = bq.add_bias %x, %b : tensor<?x64xf32>, tensor<64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @activate_none
// CHECK-SAME: %[[X:[^:]*]]: tensor<?x64xf32>
// CHECK-NEXT: return %[[X]]
func.func @activate_none(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = bq.activate %x {activation = #bq.activation<none>} : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// relu is its own square; gelu and silu are not.

// CHECK-LABEL: func.func @relu_of_relu
// CHECK: %[[Y:.*]] = bq.activate
// CHECK-NEXT: return %[[Y]]
func.func @relu_of_relu(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = bq.activate %x {activation = #bq.activation<relu>} : tensor<?x64xf32>
  %z = bq.activate %y {activation = #bq.activation<relu>} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @gelu_of_gelu_stays
// CHECK-COUNT-2: bq.activate
func.func @gelu_of_gelu_stays(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = bq.activate %x {activation = #bq.activation<gelu>} : tensor<?x64xf32>
  %z = bq.activate %y {activation = #bq.activation<gelu>} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @relu_of_silu_stays
// CHECK-COUNT-2: bq.activate
func.func @relu_of_silu_stays(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = bq.activate %x {activation = #bq.activation<silu>} : tensor<?x64xf32>
  %z = bq.activate %y {activation = #bq.activation<relu>} : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// An op without a use goes, whatever it computes.

// CHECK-LABEL: func.func @unused
// CHECK-NEXT: return
func.func @unused(%x: tensor<?x256xf32>, %w: !w, %i: tensor<?xi64>, %d: vector<16xi32>, %v: vector<64xi8>, %t: vector<16xi8>) {
  %0 = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.embedding %i, %w : (tensor<?xi64>, !w) -> tensor<?x256xf32>
  %2 = bq.dequantize %w : !w -> tensor<64x256xf32>
  %3 = bq.quantize %2 : tensor<64x256xf32> -> !w
  %4 = bq.dot %d, %v, %v : vector<16xi32>, vector<64xi8>
  %5 = bq.lookup %t, %v : vector<16xi8>, vector<64xi8> -> vector<64xi8>
  return
}

// A convolution loses a bias of zeros as a linear layer does.

// CHECK-LABEL: func.func @convolution_with_zero_bias
// CHECK: bq.conv2d %{{[^ ]*}}, %{{[^ ]*}} {compute = #bq.compute<f32>, kernel = array<i64: 1, 1>}
func.func @convolution_with_zero_bias(%x: tensor<?x256x?x?xf32>, %w: !bq.weight<64x256, "int4", f32>) -> tensor<?x64x?x?xf32> {
  %b = arith.constant dense<0.0> : tensor<64xf32>
  %y = bq.conv2d %x, %w bias(%b : tensor<64xf32>) {kernel = array<i64: 1, 1>, compute = #bq.compute<f32>}
      : (tensor<?x256x?x?xf32>, !bq.weight<64x256, "int4", f32>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}
