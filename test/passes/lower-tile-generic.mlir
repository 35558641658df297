// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=x86-64}))" | FileCheck %s

// Without any of it: byte by byte in 32-bit lanes.

// CHECK-LABEL: func.func @dot(
// CHECK-NOT: llvm.call_intrinsic
// CHECK-COUNT-4: arith.muli {{.*}} : vector<4xi32>
// CHECK: return
func.func @dot(%a: vector<4xi32>, %w: vector<16xi8>, %x: vector<16xi8>) -> vector<4xi32> {
  %r = bq.dot %a, %w, %x : vector<4xi32>, vector<16xi8>
  return %r : vector<4xi32>
}

// Also where the vector is longer than the CPU's, which has no instruction for it.

// CHECK-LABEL: func.func @dot_long(
// CHECK-NOT: llvm.call_intrinsic
// CHECK-COUNT-4: arith.muli {{.*}} : vector<8xi32>
// CHECK: return
func.func @dot_long(%a: vector<8xi32>, %w: vector<32xi8>, %x: vector<32xi8>) -> vector<8xi32> {
  %r = bq.dot %a, %w, %x : vector<8xi32>, vector<32xi8>
  return %r : vector<8xi32>
}

// Words are two in a lane.

// CHECK-LABEL: func.func @dot_words(
// CHECK-NOT: llvm.call_intrinsic
// CHECK-COUNT-2: arith.muli {{.*}} : vector<4xi32>
// CHECK-NOT: arith.muli
// CHECK: return
func.func @dot_words(%a: vector<4xi32>, %w: vector<8xi16>, %x: vector<8xi16>) -> vector<4xi32> {
  %r = bq.dot %a, %w, %x : vector<4xi32>, vector<8xi16>
  return %r : vector<4xi32>
}

// CHECK-LABEL: func.func @lookup_long(
// CHECK-NOT: llvm.call_intrinsic
// CHECK-COUNT-15: arith.select {{.*}} : vector<32xi1>, vector<32xi8>
// CHECK: return
func.func @lookup_long(%t: vector<16xi8>, %i: vector<32xi8>) -> vector<32xi8> {
  %r = bq.lookup %t, %i : vector<16xi8>, vector<32xi8> -> vector<32xi8>
  return %r : vector<32xi8>
}

// A tree of selections: eight for the lowest bit of the index, then four, two and one.

// CHECK-LABEL: func.func @lookup(
// CHECK-NOT: llvm.call_intrinsic
// CHECK-COUNT-15: arith.select {{.*}} : vector<4xi1>, vector<4xf32>
// CHECK: return
func.func @lookup(%t: vector<16xf32>, %i: vector<4xi32>) -> vector<4xf32> {
  %r = bq.lookup %t, %i : vector<16xf32>, vector<4xi32> -> vector<4xf32>
  return %r : vector<4xf32>
}

// CHECK-LABEL: func.func @fma(
// CHECK-NEXT: %[[PRODUCT:.*]] = arith.mulf %arg0, %arg1
// CHECK-NEXT: arith.addf %[[PRODUCT]], %arg2
func.func @fma(%x: vector<4xf32>, %y: vector<4xf32>, %z: vector<4xf32>) -> vector<4xf32> {
  %0 = math.fma %x, %y, %z : vector<4xf32>
  return %0 : vector<4xf32>
}

// The exponent of an f16 is moved by a multiplication with 2^112, infinities and NaN apart.

// CHECK-LABEL: func.func @from_f16(
// CHECK-NOT: arith.extf
// CHECK: arith.constant dense<2004877312> : vector<4xi32>
// CHECK: arith.mulf {{.*}} : vector<4xf32>
// CHECK: arith.cmpi uge
// CHECK: return
func.func @from_f16(%h: vector<4xf16>) -> vector<4xf32> {
  %0 = arith.extf %h : vector<4xf16> to vector<4xf32>
  return %0 : vector<4xf32>
}

// CHECK-LABEL: func.func @to_f16(
// CHECK-NOT: arith.truncf
// CHECK: arith.minui
// CHECK: arith.addf
// CHECK: arith.trunci {{.*}} : vector<4xi32> to vector<4xi16>
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @to_f16(%x: vector<4xf32>) -> vector<4xf16> {
  %0 = arith.truncf %x : vector<4xf32> to vector<4xf16>
  return %0 : vector<4xf16>
}

// Scalars are treated alike.

// CHECK-LABEL: func.func @scalars(
// CHECK-NOT: arith.{{extf|truncf}}
// CHECK: arith.bitcast {{.*}} : i16 to bf16
// CHECK: return
func.func @scalars(%h: f16) -> bf16 {
  %0 = arith.extf %h : f16 to f32
  %1 = arith.truncf %0 : f32 to bf16
  return %1 : bf16
}

// floor is an instruction from SSE4.1 on.

// CHECK-LABEL: func.func @floor(
// CHECK-NOT: math.floor
// CHECK: arith.fptosi
// CHECK: return
func.func @floor(%x: vector<4xf32>) -> vector<4xf32> {
  %0 = math.floor %x : vector<4xf32>
  return %0 : vector<4xf32>
}
