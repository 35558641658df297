// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-llvm -split-input-file | FileCheck %s

// Buffers are bare pointers, indices 64-bit integers: a signature that C can call.

// CHECK-LABEL: llvm.func @signature(
// CHECK-SAME:    %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: !llvm.ptr, %{{[^:]*}}: i64) {
func.func @signature(%codes: memref<4x2x1024xi8>, %x: memref<f32>, %begin: index) {
  return
}

// -----

// Loops become branches, vectors go through memory by their type.

// CHECK-LABEL: llvm.func @kernel(
// CHECK:         llvm.cond_br
// CHECK:         llvm.load {{.*}} {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK:         llvm.intr.fma
// CHECK:         llvm.store {{.*}} : vector<16xf32>, !llvm.ptr
// CHECK:         llvm.br
// CHECK:         llvm.return
// CHECK-NOT:     builtin.unrealized_conversion_cast
func.func @kernel(%x: memref<64x16xf32>, %begin: index, %end: index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  scf.for %i = %begin to %end step %c1 {
    %v = vector.load %x[%i, %c0] {alignment = 64 : i64} : memref<64x16xf32>, vector<16xf32>
    %w = math.fma %v, %v, %v : vector<16xf32>
    vector.store %w, %x[%i, %c0] : memref<64x16xf32>, vector<16xf32>
  }
  return
}

// -----

// Masked accesses are intrinsics.

// CHECK-LABEL: llvm.func @masked(
// CHECK:         llvm.intr.masked.load
// CHECK:         llvm.intr.masked.store
func.func @masked(%x: memref<40xf32>, %mask: vector<16xi1>, %other: vector<16xf32>, %i: index) {
  %v = vector.maskedload %x[%i], %mask, %other : memref<40xf32>, vector<16xi1>, vector<16xf32> into vector<16xf32>
  vector.maskedstore %x[%i], %mask, %v : memref<40xf32>, vector<16xi1>, vector<16xf32>
  return
}
