// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=arch=sm_90a -bq-gpu-lower-update -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-gpu-lower-update -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.update' op has no schedule: run bq-select-schedule first

// One kernel looks at the gradient; the other takes the step where nothing was found. Eight elements in a row are one
// access or two of each tensor, before a loop over their halves and after it, where they are aligned in all tensors and
// all there; else the loop loads and stores them one by one. Everything is loaded once and stored once.

// CHECK-LABEL: func.func @dense_check(
// CHECK-SAME:    %[[G:[^:]*]]: !bqgpu.ptr<f32>, %[[FOUND:[^:]*]]: !bqgpu.ptr<i64>, %[[REPORT:[^:]*]]: !bqgpu.ptr<i64>, %[[TICKET:[^:]*]]: i64
// CHECK:         bqgpu.load %[[G]]{{.*}} -> vector<4xf32>
// CHECK:         scf.for
// CHECK:           %[[PLACE:.*]] = arith.addi %[[TICKET]]
// CHECK:           bqgpu.store %[[PLACE]], %[[FOUND]]
// CHECK:           bqgpu.store %[[PLACE]], %[[REPORT]]

// CHECK-LABEL: func.func @dense(
// CHECK-SAME:    %[[G:[^:]*]]: !bqgpu.ptr<f32>, %[[W:[^:]*]]: !bqgpu.ptr<i16>,
// CHECK-SAME:    bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[STATUS:.*]] = bqgpu.load %{{.*}} : !bqgpu.ptr<i64>
// CHECK:         %[[FINE:.*]] = arith.cmpi eq, %[[STATUS]]
// CHECK:         scf.if %[[FINE]]
// CHECK:           scf.if
// CHECK:             bqgpu.load %[[G]]{{.*}} -> vector<4xf32>
// CHECK:             bqgpu.load %[[W]]{{.*}} -> vector<4xi32>
// CHECK-NOT:       bqgpu.barrier
// CHECK:           scf.for
// CHECK:             bqgpu.load %[[G]]{{.*}} -> f32
// CHECK:             bqgpu.load %[[W]]{{.*}} -> i32
// CHECK-COUNT-4:     arith.divf
// CHECK-NOT:         arith.divf
// CHECK:             bqgpu.round bf16
// CHECK:             bqgpu.store %{{.*}}, %[[W]]{{.*}} : i32
// CHECK:           bqgpu.store %{{.*}}, %[[W]]{{.*}} : vector<4xi32>
func.func @dense(%w: tensor<?xbf16>, %g: tensor<?xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?xf32>,
                 %v: tensor<?xf32>) -> (tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>) {
  %r:3 = bq.update %w, %g, %o, %c, %m, %v {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                          scaling = #bq.scale_update<keep>, bias_correction}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?xf32>, tensor<?xf32>)
    -> (tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>)
  return %r#0, %r#1, %r#2 : tensor<?xbf16>, tensor<?xf32>, tensor<?xf32>
}

// -----

// New values wait in shared memory for the range of their group; random numbers are expanded here, and come from there.

!w = !bq.weight<?x64, "int4:g32", f32>

// CHECK-LABEL: func.func @residual(
// CHECK:         bqgpu.shared 64 : !bqgpu.ptr<f32, shared>
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.store %{{.*}} : vector<4xf32>, !bqgpu.ptr<f32, shared>
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK:           bqgpu.shuffle_xor
// CHECK:         bqgpu.barrier
// CHECK-NOT:     bq.philox
// CHECK:         arith.muli {{.*}} : i64
// CHECK:         bqgpu.barrier
// CHECK:         math.floor
func.func @residual(%w: !w, %g: tensor<?x64xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %r: tensor<?x64xi8>)
    -> (!w, tensor<?x64xi8>) {
  %n:2 = bq.update %w, %g, %o, %c, %r {rule = #bq.update_rule<direction>, rounding = #bq.rounding<residual>,
                                      scaling = #bq.scale_update<group>}
    : (!w, tensor<?x64xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x64xi8>) -> (!w, tensor<?x64xi8>)
  return %n#0, %n#1 : !w, tensor<?x64xi8>
}

// -----

// A scale that spans the tensor: the first part gives what each row wants and leaves the codes, then one block finds the
// greatest, and the last part steps no moment.

!w = !bq.weight<?x64, "int8", f16>

// CHECK-LABEL: func.func @tensor_check(
// CHECK-LABEL: func.func @tensor_moments(
// CHECK-SAME:    %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[CODES:[^:]*]]: !bqgpu.ptr<i8>
// CHECK:         math.sqrt
// CHECK-NOT:     bqgpu.store %{{.*}}, %[[CODES]]
// CHECK-LABEL: func.func @tensor_scale(
// CHECK-SAME:    %[[SCALES:[^:]*]]: !bqgpu.ptr<f32>, %[[ROWS:[^:]*]]: i64)
// CHECK:         bqgpu.shuffle_xor
// CHECK:         bqgpu.round f16
// CHECK:         bqgpu.store %{{.*}}, %[[SCALES]]
// CHECK-LABEL: func.func @tensor(
// CHECK-SAME:    %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[CODES:[^:]*]]: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<i16>, %{{[^:]*}}: !bqgpu.ptr<i8>, %{{[^:]*}}: !bqgpu.ptr<i8>, %[[M:[^:]*]]: !bqgpu.ptr<f32>
// CHECK-NOT:     bqgpu.store %{{.*}}, %[[M]]
// CHECK:         bqgpu.store %{{.*}}, %[[CODES]]
func.func @tensor(%w: !w, %g: tensor<?x64xf32>, %o: tensor<9xf32>, %c: tensor<4xi32>, %m: tensor<?x64xf32>,
                  %v: tensor<?x64xf32>) -> (!w, tensor<?x64xf32>, tensor<?x64xf32>) {
  %r:3 = bq.update %w, %g, %o, %c, %m, %v {rule = #bq.update_rule<adam>, rounding = #bq.rounding<nearest>,
                                          scaling = #bq.scale_update<tensor>}
    : (!w, tensor<?x64xf32>, tensor<9xf32>, tensor<4xi32>, tensor<?x64xf32>, tensor<?x64xf32>)
    -> (!w, tensor<?x64xf32>, tensor<?x64xf32>)
  return %r#0, %r#1, %r#2 : !w, tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// A warp has a block of 8-bit moments, and finds the greatest of v, then of the directions.

// CHECK-LABEL: func.func @block8(
// CHECK:         math.sqrt
// CHECK:         bqgpu.shuffle_xor
// CHECK:         bqgpu.shuffle_xor
// CHECK:         bqgpu.store %{{.*}} : vector<2xi32>, !bqgpu.ptr<i8>
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
