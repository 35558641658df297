// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=znver4},canonicalize))" | FileCheck %s

// The known answers of Philox4x32-10 that its authors publish with Random123 (tests/kat_vectors), of the arithmetic that
// the op becomes.

// CHECK-LABEL: func.func @zeros
// CHECK-DAG: %[[R0:.*]] = arith.constant 1713891541 : i32
// CHECK-DAG: %[[R1:.*]] = arith.constant -513161843 : i32
// CHECK-DAG: %[[R2:.*]] = arith.constant -1135104948 : i32
// CHECK-DAG: %[[R3:.*]] = arith.constant -1694442536 : i32
// CHECK: return %[[R0]], %[[R1]], %[[R2]], %[[R3]]
func.func @zeros() -> (i32, i32, i32, i32) {
  %c0 = arith.constant 0x00000000 : i32
  %c1 = arith.constant 0x00000000 : i32
  %c2 = arith.constant 0x00000000 : i32
  %c3 = arith.constant 0x00000000 : i32
  %c4 = arith.constant 0x00000000 : i32
  %c5 = arith.constant 0x00000000 : i32
  %r:4 = bq.philox %c0, %c1, %c2, %c3, %c4, %c5 {rounds = 10} : i32
  return %r#0, %r#1, %r#2, %r#3 : i32, i32, i32, i32
}

// CHECK-LABEL: func.func @ones
// CHECK-DAG: %[[R0:.*]] = arith.constant 1083123565 : i32
// CHECK-DAG: %[[R1:.*]] = arith.constant 1103641358 : i32
// CHECK-DAG: %[[R2:.*]] = arith.constant -1576286266 : i32
// CHECK-DAG: %[[R3:.*]] = arith.constant 1834242557 : i32
// CHECK: return %[[R0]], %[[R1]], %[[R2]], %[[R3]]
func.func @ones() -> (i32, i32, i32, i32) {
  %c0 = arith.constant 0xffffffff : i32
  %c1 = arith.constant 0xffffffff : i32
  %c2 = arith.constant 0xffffffff : i32
  %c3 = arith.constant 0xffffffff : i32
  %c4 = arith.constant 0xffffffff : i32
  %c5 = arith.constant 0xffffffff : i32
  %r:4 = bq.philox %c0, %c1, %c2, %c3, %c4, %c5 {rounds = 10} : i32
  return %r#0, %r#1, %r#2, %r#3 : i32, i32, i32, i32
}

// CHECK-LABEL: func.func @pi
// CHECK-DAG: %[[R0:.*]] = arith.constant -781386231 : i32
// CHECK-DAG: %[[R1:.*]] = arith.constant -1795306261 : i32
// CHECK-DAG: %[[R2:.*]] = arith.constant 1342301216 : i32
// CHECK-DAG: %[[R3:.*]] = arith.constant 605187745 : i32
// CHECK: return %[[R0]], %[[R1]], %[[R2]], %[[R3]]
func.func @pi() -> (i32, i32, i32, i32) {
  %c0 = arith.constant 0x243f6a88 : i32
  %c1 = arith.constant 0x85a308d3 : i32
  %c2 = arith.constant 0x13198a2e : i32
  %c3 = arith.constant 0x03707344 : i32
  %c4 = arith.constant 0xa4093822 : i32
  %c5 = arith.constant 0x299f31d0 : i32
  %r:4 = bq.philox %c0, %c1, %c2, %c3, %c4, %c5 {rounds = 10} : i32
  return %r#0, %r#1, %r#2, %r#3 : i32, i32, i32, i32
}

// What the key becomes in each round is the same for all counters: it is worked out in front of their loop.

// CHECK-LABEL: func.func @looped
// CHECK-COUNT-4: vector.broadcast {{.*}} : i64 to vector<8xi64>
// CHECK:         scf.for
// CHECK-NOT:       vector.broadcast
// CHECK:           return
func.func @looped(%k0: i32, %k1: i32, %to: memref<64xi32>) {
  %zero = arith.constant 0 : index
  %step = arith.constant 16 : index
  %end = arith.constant 64 : index
  %ones = arith.constant dense<1> : vector<16xi32>
  scf.for %i = %zero to %end step %step {
    %c = vector.load %to[%i] : memref<64xi32>, vector<16xi32>
    %r:4 = bq.philox %c, %ones, %ones, %ones, %k0, %k1 {rounds = 2} : vector<16xi32>
    %sum = arith.addi %r#0, %r#2 : vector<16xi32>
    vector.store %sum, %to[%i] : memref<64xi32>, vector<16xi32>
  }
  return
}
