// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 -bq-lower-update=cpu=znver4 -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-lower-update=cpu=znver4 -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.update' op has no schedule: run bq-select-schedule first

// A float weight: everything is loaded once and stored once, the weight before the moments are stored; what is left of
// the last row goes by way of the stack.

// CHECK-LABEL: func.func @dense(
// CHECK-SAME:    %[[G:[^:]*]]: memref<f32>, %[[W:[^:]*]]: memref<bf16>,
// CHECK:         scf.for
// CHECK:           scf.for
// CHECK:             vector.load {{.*}} : memref<?xbf16, {{.*}}>, vector<16xbf16>
// CHECK:             vector.load {{.*}} : memref<?xf32, {{.*}}>, vector<16xf32>
// CHECK:             vector.store {{.*}} : memref<?xf32, {{.*}}>, vector<16xf32>
// CHECK:             math.sqrt {{.*}} : vector<16xf32>
// CHECK:             arith.divf
// CHECK:             vector.store {{.*}} : memref<?xbf16, {{.*}}>, vector<16xbf16>
// CHECK:           scf.if
// CHECK-NOT:     bq.philox
func.func @dense(%w: tensor<?xbf16>, %g: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?xf32>,
                 %v: tensor<?xf32>) -> (tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>) {
  %r:3 = bq.update %w, %g, %o, %c, %m, %v {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                          scaling = #bq.scale_update<keep>, bias_correction}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>)
  return %r#0, %r#1, %r#2 : tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>
}

// -----

// Tiles, here rows, are chained: the first's new values; random words for it, range and scale of each group; then in one
// loop its codes with what is left over, and the new values of the tile behind it.

!w = !bq.weight<?x64, "int4:g32", f32>

// CHECK-LABEL: func.func @residual(
// CHECK:         scf.if
// CHECK:           scf.for
// CHECK:             vector.load {{.*}} : memref<?xi8, {{.*}}>, vector<8xi8>
// CHECK:             vector.load {{.*}} : memref<?xi8, {{.*}}>, vector<16xi8>
// CHECK:             bq.philox {{.*}} {rounds = 7 : i64} : vector<16xi32>
// CHECK:             vector.reduction <maxsi>
// CHECK:             memref.store {{.*}} : memref<?xf32,
// CHECK:           scf.for
// CHECK:             scf.for
// CHECK:             scf.for
// CHECK-COUNT-4:       llvm.intr.lrint
// CHECK:               vector.store {{.*}} : memref<?xi8, {{.*}}>, vector<32xi8>
// CHECK:               vector.store {{.*}} : memref<?xi8, {{.*}}>, vector<64xi8>
// CHECK:               vector.load {{.*}} : memref<?xi8, {{.*}}>, vector<8xi8>
// CHECK:               vector.load {{.*}} : memref<?xi8, {{.*}}>, vector<16xi8>
// CHECK:             bq.philox
// CHECK:             vector.reduction <maxsi>
// CHECK:           scf.for
// CHECK:             llvm.intr.lrint
func.func @residual(%w: !w, %g: tensor<?x64xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %r: tensor<?x64xi8>)
    -> (!w, tensor<?x64xi8>) {
  %n:2 = bq.update %w, %g, %o, %c, %r {rule = #bq.update_rule<direction>, rounding = #bq.rounding<residual>,
                                      scaling = #bq.scale_update<group>}
    : (!w, tensor<?x64xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x64xi8>) -> (!w, tensor<?x64xi8>)
  return %n#0, %n#1 : !w, tensor<?x64xi8>
}

// -----

// A scale that spans the tensor: the first part gives what each row wants and leaves the codes, the second steps no
// moment.

!w = !bq.weight<?x64, "int8", f16>

// CHECK-LABEL: func.func @tensor_prepare(
// CHECK:         math.sqrt
// CHECK-NOT:     vector.store {{.*}} : memref<?xi8,
// CHECK:         return
// CHECK-LABEL: func.func @tensor(
// CHECK-NOT:     vector.store {{.*}} : memref<?xf32,
// CHECK:         vector.store {{.*}} : memref<?xi8,
func.func @tensor(%w: !w, %g: tensor<?x64xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x64xf32>,
                  %v: tensor<?x64xf32>) -> (!w, tensor<?x64xf32>, tensor<?x64xf32>) {
  %r:3 = bq.update %w, %g, %o, %c, %m, %v {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                          scaling = #bq.scale_update<tensor>}
    : (!w, tensor<?x64xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x64xf32>, tensor<?x64xf32>)
    -> (!w, tensor<?x64xf32>, tensor<?x64xf32>)
  return %r#0, %r#1, %r#2 : !w, tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// Moments of 8 bits, block by block: the new ones and the greatest v; codes of v, directions by a root that is looked up,
// and the greatest of them; codes of m, which the step is taken with.

// CHECK-LABEL: func.func @block8(
// CHECK:         bq.philox
// CHECK:         bq.lookup
// CHECK:         vector.reduction <maxsi>
// CHECK-NOT:     math.sqrt {{.*}} : vector
// CHECK:         bq.lookup
// CHECK:         arith.divf {{.*}} : vector<16xf32>
// Codes of four steps at once.
// CHECK:         vector.shuffle {{.*}} : vector<32xi8>, vector<32xi8>
// CHECK:         memref.prefetch
// CHECK:         arith.trunci {{.*}} to vector<16xi8>
// CHECK:         vector.reduction <maxsi>
// CHECK:         vector.store {{.*}} : memref<?xf32, {{.*}}>, vector<16xf32>
// CHECK:         vector.shuffle {{.*}} : vector<32xi8>, vector<32xi8>
func.func @block8(%w: tensor<?xf32>, %g: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?xi8>,
                  %ms: tensor<?xf32>, %v: tensor<?xi8>, %vs: tensor<?xf32>)
    -> (tensor<?xf32>, tensor<?xi8>, tensor<?xf32>, tensor<?xi8>, tensor<?xf32>) {
  %r:5 = bq.update %w, %g, %o, %c, %m, %ms, %v, %vs {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                                    scaling = #bq.scale_update<keep>}
    : (tensor<?xf32>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?xi8>, tensor<?xf32>, tensor<?xi8>,
       tensor<?xf32>)
    -> (tensor<?xf32>, tensor<?xi8>, tensor<?xf32>, tensor<?xi8>, tensor<?xf32>)
  return %r#0, %r#1, %r#2, %r#3, %r#4 : tensor<?xf32>, tensor<?xi8>, tensor<?xf32>, tensor<?xi8>, tensor<?xf32>
}
