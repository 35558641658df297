// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=haswell}))" | FileCheck %s
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=alderlake}))" | FileCheck %s --check-prefix=VNNI

// Pairs of products are added to 16 bits, which saturates: right where no weight is above 127. AVX-VNNI has the product
// itself.

// CHECK-LABEL: func.func @dot_small(
// CHECK: %[[PAIRS:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"(%arg1, %arg2) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
// CHECK: %[[SUMS:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%[[PAIRS]], %{{.*}})
// CHECK: arith.addi %arg0, %[[SUMS]] : vector<8xi32>
// VNNI-LABEL: func.func @dot_small(
// VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"(%arg0, %arg1, %arg2)
func.func @dot_small(%a: vector<8xi32>, %w: vector<32xi8>, %x: vector<32xi8>) -> vector<8xi32> {
  %r = bq.dot %a, %w, %x {max = 127} : vector<8xi32>, vector<32xi8>
  return %r : vector<8xi32>
}

// Above that, bytes are widened to words before they are multiplied.

// CHECK-LABEL: func.func @dot_large(
// CHECK-NOT: pmadd.ub.sw
// CHECK: arith.andi {{.*}} : vector<16xi16>
// CHECK: arith.shrui {{.*}} : vector<16xi16>
// CHECK-COUNT-2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"
// CHECK-COUNT-2: arith.addi {{.*}} : vector<8xi32>
// VNNI-LABEL: func.func @dot_large(
// VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"
func.func @dot_large(%a: vector<8xi32>, %w: vector<32xi8>, %x: vector<32xi8>) -> vector<8xi32> {
  %r = bq.dot %a, %w, %x {max = 128} : vector<8xi32>, vector<32xi8>
  return %r : vector<8xi32>
}

// CHECK-LABEL: func.func @dot_words(
// CHECK: %[[SUMS:.*]] = llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"(%arg1, %arg2)
// CHECK: arith.addi %arg0, %[[SUMS]] : vector<8xi32>
// VNNI-LABEL: func.func @dot_words(
// VNNI-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.256"(%arg0, %arg1, %arg2)
func.func @dot_words(%a: vector<8xi32>, %w: vector<16xi16>, %x: vector<16xi16>) -> vector<8xi32> {
  %r = bq.dot %a, %w, %x : vector<8xi32>, vector<16xi16>
  return %r : vector<8xi32>
}

// CHECK-LABEL: func.func @lookup_bytes(
// CHECK: llvm.call_intrinsic "llvm.x86.avx2.pshuf.b"
func.func @lookup_bytes(%t: vector<16xi8>, %i: vector<32xi8>) -> vector<32xi8> {
  %r = bq.lookup %t, %i : vector<16xi8>, vector<32xi8> -> vector<32xi8>
  return %r : vector<32xi8>
}

// Sixteen floats are two registers: both are looked up, and bit 3 of the index chooses.

// CHECK-LABEL: func.func @lookup_floats(
// CHECK-DAG: %[[BIT:.*]] = arith.cmpi ne, %{{.*}} : vector<8xi32>
// CHECK-DAG: %[[LOW:.*]] = vector.shuffle %arg0, %arg0 [0, 1, 2, 3, 4, 5, 6, 7]
// CHECK-DAG: %[[HIGH:.*]] = vector.shuffle %arg0, %arg0 [8, 9, 10, 11, 12, 13, 14, 15]
// CHECK-DAG: %[[L:.*]] = llvm.call_intrinsic "llvm.x86.avx2.permps"(%[[LOW]], %arg1)
// CHECK-DAG: %[[H:.*]] = llvm.call_intrinsic "llvm.x86.avx2.permps"(%[[HIGH]], %arg1)
// CHECK: arith.select %[[BIT]], %[[H]], %[[L]]
func.func @lookup_floats(%t: vector<16xf32>, %i: vector<8xi32>) -> vector<8xf32> {
  %r = bq.lookup %t, %i : vector<16xf32>, vector<8xi32> -> vector<8xf32>
  return %r : vector<8xf32>
}

// FMA and F16C are there; rounding to bf16 is integer arithmetic, with NaN kept.

// CHECK-LABEL: func.func @arithmetic(
// CHECK: math.fma
// CHECK: arith.extf {{.*}} : vector<8xf16> to vector<8xf32>
// CHECK: %[[ODD:.*]] = arith.andi %{{.*}} : vector<8xi32>
// CHECK: arith.addi %{{.*}}, %[[ODD]] : vector<8xi32>
// CHECK: arith.cmpf uno
// CHECK: arith.trunci {{.*}} : vector<8xi32> to vector<8xi16>
// CHECK-NOT: arith.truncf
// CHECK: return
func.func @arithmetic(%x: vector<8xf32>, %h: vector<8xf16>) -> (vector<8xf32>, vector<8xbf16>) {
  %0 = math.fma %x, %x, %x : vector<8xf32>
  %1 = arith.extf %h : vector<8xf16> to vector<8xf32>
  %2 = arith.truncf %0 : vector<8xf32> to vector<8xbf16>
  return %1, %2 : vector<8xf32>, vector<8xbf16>
}
