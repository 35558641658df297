// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=znver4}))" | FileCheck %s

// AVX512 with VNNI and BF16: an instruction for each.

// CHECK-LABEL: func.func @dot(
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"(%arg0, %arg1, %arg2) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
// CHECK-NEXT: return
func.func @dot(%a: vector<16xi32>, %w: vector<64xi8>, %x: vector<64xi8>) -> vector<16xi32> {
  %r = bq.dot %a, %w, %x : vector<16xi32>, vector<64xi8>
  return %r : vector<16xi32>
}

// CHECK-LABEL: func.func @dot_words(
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.vpdpwssd.512"(%arg0, %arg1, %arg2) : (vector<16xi32>, vector<32xi16>, vector<32xi16>) -> vector<16xi32>
// CHECK-NEXT: return
func.func @dot_words(%a: vector<16xi32>, %w: vector<32xi16>, %x: vector<32xi16>) -> vector<16xi32> {
  %r = bq.dot %a, %w, %x : vector<16xi32>, vector<32xi16>
  return %r : vector<16xi32>
}

// CHECK-LABEL: func.func @dot_bf16(
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"(%arg0, %arg1, %arg2) : (vector<16xf32>, vector<32xbf16>, vector<32xbf16>) -> vector<16xf32>
// CHECK-NEXT: return
func.func @dot_bf16(%a: vector<16xf32>, %w: vector<32xbf16>, %x: vector<32xbf16>) -> vector<16xf32> {
  %r = bq.dot %a, %w, %x : vector<16xf32>, vector<32xbf16>
  return %r : vector<16xf32>
}

// A table of sixteen bytes is one of each 128-bit part.

// CHECK-LABEL: func.func @lookup_bytes(
// CHECK-NEXT: %[[TABLE:.*]] = vector.shuffle %arg0, %arg0 [0, 1, 2, {{.*}} 15, 0, 1, {{.*}} 15] : vector<16xi8>, vector<16xi8>
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.pshuf.b.512"(%[[TABLE]], %arg1)
func.func @lookup_bytes(%t: vector<16xi8>, %i: vector<64xi8>) -> vector<64xi8> {
  %r = bq.lookup %t, %i : vector<16xi8>, vector<64xi8> -> vector<64xi8>
  return %r : vector<64xi8>
}

// CHECK-LABEL: func.func @lookup_words(
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.permvar.hi.512"(%arg0, %arg1)
func.func @lookup_words(%t: vector<32xi16>, %i: vector<32xi16>) -> vector<32xi16> {
  %r = bq.lookup %t, %i : vector<32xi16>, vector<32xi16> -> vector<32xi16>
  return %r : vector<32xi16>
}

// CHECK-LABEL: func.func @lookup_floats(
// CHECK-NEXT: llvm.call_intrinsic "llvm.x86.avx512.permvar.sf.512"(%arg0, %arg1)
func.func @lookup_floats(%t: vector<16xf32>, %i: vector<16xi32>) -> vector<16xf32> {
  %r = bq.lookup %t, %i : vector<16xf32>, vector<16xi32> -> vector<16xf32>
  return %r : vector<16xf32>
}

// What the CPU has stays.

// CHECK-LABEL: func.func @arithmetic(
// CHECK-NEXT: math.fma
// CHECK-NEXT: arith.extf {{.*}} : vector<16xf16> to vector<16xf32>
// CHECK-NEXT: arith.truncf {{.*}} : vector<16xf32> to vector<16xf16>
// CHECK-NEXT: arith.truncf {{.*}} : vector<16xf32> to vector<16xbf16>
// CHECK-NEXT: return
func.func @arithmetic(%x: vector<16xf32>, %h: vector<16xf16>) -> (vector<16xf32>, vector<16xf16>, vector<16xbf16>) {
  %0 = math.fma %x, %x, %x : vector<16xf32>
  %1 = arith.extf %h : vector<16xf16> to vector<16xf32>
  %2 = arith.truncf %1 : vector<16xf32> to vector<16xf16>
  %3 = arith.truncf %0 : vector<16xf32> to vector<16xbf16>
  return %1, %2, %3 : vector<16xf32>, vector<16xf16>, vector<16xbf16>
}

// Functions of libm become polynomials: a kernel cannot call a library.

// CHECK-LABEL: func.func @functions(
// CHECK-NOT: math.{{erf|tanh|exp}} %
// CHECK: return
func.func @functions(%x: vector<16xf32>) -> vector<16xf32> {
  %0 = math.erf %x : vector<16xf32>
  %1 = math.tanh %0 : vector<16xf32>
  %2 = math.exp %1 : vector<16xf32>
  return %2 : vector<16xf32>
}
