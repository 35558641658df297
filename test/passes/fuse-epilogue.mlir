// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-fuse-epilogue | FileCheck %s

!w = !bq.weight<64x256, "int4", f32>

// CHECK-LABEL: func.func @bias_and_activation
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x256xf32>, %[[W:[^:]*]]: !bq.weight<64x256, "int4", f32>, %[[B:[^:]*]]: tensor<64xf32>
func.func @bias_and_activation(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[Y:.*]] = bq.linear %[[X]], %[[W]] bias(%[[B]] : tensor<64xf32>) {activation = #bq.activation<gelu>, compute = #bq.compute<i8>}
  // CHECK-NEXT: return %[[Y]]
  %0 = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  %2 = bq.activate %1 {activation = #bq.activation<gelu>} : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @bias_alone
// CHECK-NEXT: bq.linear {{.*}} bias(%{{.*}}) {compute = #bq.compute<f32>}
// CHECK-NEXT: return
func.func @bias_alone(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  return %1 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @activation_alone
// CHECK-NEXT: bq.linear %{{[^ ]*}}, %{{[^ ]*}} {activation = #bq.activation<silu>, compute = #bq.compute<f32>}
// CHECK-NEXT: return
func.func @activation_alone(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<silu>} : tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// The bias may be made after the layer: the layer moves down to it.

// CHECK-LABEL: func.func @bias_made_later
// CHECK-NEXT: %[[B:.*]] = arith.constant
// CHECK-NEXT: bq.linear {{.*}} bias(%[[B]]
func.func @bias_made_later(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %b = arith.constant dense<1.0> : tensor<64xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  return %1 : tensor<?x64xf32>
}

// What else reads the layer would see another value.

// CHECK-LABEL: func.func @other_use_keeps_bias
// CHECK-NEXT: %[[L:.*]] = bq.linear %{{[^ ]*}}, %{{[^ ]*}} {compute
// CHECK-NEXT: %[[B:.*]] = bq.add_bias %[[L]]
// CHECK-NEXT: return %[[L]], %[[B]]
func.func @other_use_keeps_bias(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @other_use_keeps_activation
// CHECK-NEXT: %[[L:.*]] = bq.linear %{{[^ ]*}}, %{{[^ ]*}} {compute
// CHECK-NEXT: bq.activate %[[L]]
func.func @other_use_keeps_activation(%x: tensor<?x256xf32>, %w: !w) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<relu>} : tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// activation(x) + b is not activation(x + b).

// CHECK-LABEL: func.func @bias_after_activation_stays
// CHECK-NEXT: %[[L:.*]] = bq.linear %{{[^ ]*}}, %{{[^ ]*}} {activation = #bq.activation<relu>
// CHECK-NEXT: bq.add_bias %[[L]]
func.func @bias_after_activation_stays(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<relu>} : tensor<?x64xf32>
  %2 = bq.add_bias %1, %b : tensor<?x64xf32>, tensor<64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @second_bias_stays
// CHECK-SAME:    %[[B:[^:]*]]: tensor<64xf32>, %[[C:[^:]*]]: tensor<64xf32>
// CHECK-NEXT: %[[L:.*]] = bq.linear {{.*}} bias(%[[B]]
// CHECK-NEXT: bq.add_bias %[[L]], %[[C]]
func.func @second_bias_stays(%x: tensor<?x256xf32>, %w: !w, %b: tensor<64xf32>, %c: tensor<64xf32>) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  %2 = bq.add_bias %1, %c : tensor<?x64xf32>, tensor<64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @second_activation_stays
// CHECK-NEXT: %[[L:.*]] = bq.linear %{{[^ ]*}}, %{{[^ ]*}} {activation = #bq.activation<silu>
// CHECK-NEXT: bq.activate %[[L]] {activation = #bq.activation<gelu>}
func.func @second_activation_stays(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %0 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  %1 = bq.activate %0 {activation = #bq.activation<silu>} : tensor<?x64xf32>
  %2 = bq.activate %1 {activation = #bq.activation<gelu>} : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @no_layer
// CHECK-NEXT: bq.add_bias
// CHECK-NEXT: bq.activate
func.func @no_layer(%x: tensor<?x64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  %1 = bq.add_bias %x, %b : tensor<?x64xf32>, tensor<64xf32>
  %2 = bq.activate %1 {activation = #bq.activation<gelu>} : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// A convolution takes in what follows it as well: its bias is one of channels.

// CHECK-LABEL: func.func @convolution
// CHECK-NEXT: bq.conv2d %{{[^ ]*}}, %{{[^ ]*}} bias(%{{.*}} : tensor<64xf32>) {activation = #bq.activation<relu>, compute = #bq.compute<i8>, kernel = array<i64: 4, 4>}
// CHECK-NEXT: return
func.func @convolution(%x: tensor<?x16x?x?xf32>, %w: !w, %b: tensor<64xf32>) -> tensor<?x64x?x?xf32> {
  %0 = bq.conv2d %x, %w {kernel = array<i64: 4, 4>, compute = #bq.compute<i8>} : (tensor<?x16x?x?xf32>, !w) -> tensor<?x64x?x?xf32>
  %1 = bq.add_bias %0, %b : tensor<?x64x?x?xf32>, tensor<64xf32>
  %2 = bq.activate %1 {activation = #bq.activation<relu>} : tensor<?x64x?x?xf32>
  return %2 : tensor<?x64x?x?xf32>
}
