// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=arch=sm_90a -bq-gpu-lower-diffq-noise -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-gpu-lower-diffq-noise -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.diffq_noise' op has no schedule: run bq-select-schedule first

// The steps of the chunk's 128 groups, one of a thread, then four elements of each counter, two counters of a thread:
// random words are expanded here, and their pairs are a radius and an angle.

// CHECK-LABEL: func.func @gaussian(
// CHECK-SAME:    %[[W:[^:]*]]: !bqgpu.ptr<i16>, %[[BITS:[^:]*]]: !bqgpu.ptr<f32>, %[[SCALE:[^:]*]]: f32,
// CHECK-SAME:    %[[NOISY:[^:]*]]: !bqgpu.ptr<i16>, %{{[^:]*}}: i64)
// CHECK-SAME:    bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[UNITS:.*]] = bqgpu.shared 128 : !bqgpu.ptr<f32, shared>
// CHECK:         scf.for
// CHECK:           bqgpu.load %[[BITS]]
// CHECK:           arith.divf
// CHECK:           bqgpu.store %{{.*}}, %[[UNITS]]
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK-COUNT-4:   bqgpu.load %[[W]]
// CHECK-NOT:       bq.philox
// CHECK-COUNT-14:  arith.muli {{.*}} : i64
// CHECK-COUNT-2:   math.sqrt
// CHECK:           scf.if
// CHECK:             bqgpu.load %[[UNITS]]
// CHECK:             bqgpu.store %{{.*}}, %[[NOISY]]
func.func @gaussian(%w: tensor<?xbf16>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>) -> tensor<?xbf16> {
  %n = bq.diffq_noise %w, %b, %s, %c {noise = #bq.noise<gaussian>, group = 8 : i64, rounds = 7 : i64}
    : (tensor<?xbf16>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> tensor<?xbf16>
  return %n : tensor<?xbf16>
}

// -----

// The gradient makes the noise again; products wait in shared memory, and a thread sums each group. No group begins
// before the chunk, whose head is 0.

// CHECK-LABEL: func.func @gradient(
// CHECK-SAME:    %[[BITS:[^:]*]]: !bqgpu.ptr<f32>, %[[HEADS:[^:]*]]: !bqgpu.ptr<f32>, %[[PARTS:[^:]*]]: !bqgpu.ptr<f32>, %{{[^:]*}}: i64)
// CHECK:         %[[PRODUCTS:.*]] = bqgpu.shared 1056 : !bqgpu.ptr<f32, shared>
// CHECK-NOT:     math.sqrt
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.store %{{.*}}, %[[PRODUCTS]]
// CHECK:         bqgpu.barrier
// CHECK:         scf.for {{.*}} -> (f32)
// CHECK:           scf.for {{.*}} -> (f32)
// CHECK:             bqgpu.load %[[PRODUCTS]]
// CHECK-NOT:       bqgpu.shuffle_xor
// CHECK:           bqgpu.store %{{.*}}, %[[BITS]]
// CHECK:         bqgpu.shuffle_xor
// CHECK:         bqgpu.store %{{.*}}, %[[PARTS]]
// CHECK-NOT:     scf.if
// CHECK:         bqgpu.store %{{.*}}, %[[HEADS]]
func.func @gradient(%g: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %r:3 = bq.diffq_noise_grad %g, %b, %s, %c {noise = #bq.noise<uniform>, group = 8 : i64, rounds = 10 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return %r#0, %r#1, %r#2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// -----

// Groups that begin anywhere: a chunk has parts of two at most where they are longer, and a warp sums each; the first
// may be the rest of one that began before.

// CHECK-LABEL: func.func @long(
// CHECK-SAME:    %[[BITS:[^:]*]]: !bqgpu.ptr<f32>, %[[HEADS:[^:]*]]: !bqgpu.ptr<f32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %{{[^:]*}}: i64)
// CHECK:         bqgpu.shared 2 : !bqgpu.ptr<f32, shared>
// CHECK:         arith.divui %{{.*}}, %{{.*}} : i64
// CHECK:         scf.for {{.*}} -> (f32)
// CHECK:           scf.for {{.*}} -> (f32)
// CHECK:           bqgpu.shuffle_xor
// CHECK:           scf.if
// CHECK:             scf.if
// CHECK:               bqgpu.store %{{.*}}, %[[HEADS]]
// CHECK:             } else {
// CHECK:               bqgpu.store %{{.*}}, %[[BITS]]
func.func @long(%g: tensor<?xf32>, %b: tensor<?xf32>, %s: tensor<1xf32>, %c: tensor<4xi32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>) {
  %r:3 = bq.diffq_noise_grad %g, %b, %s, %c {noise = #bq.noise<gaussian>, group = 1500 : i64, rounds = 7 : i64}
    : (tensor<?xf32>, tensor<?xf32>, tensor<1xf32>, tensor<4xi32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  return %r#0, %r#1, %r#2 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}
