// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=arch=sm_90a -bq-gpu-lower-fake-quantize -cse -split-input-file | FileCheck %s
// RUN: not bq-opt %s -bq-gpu-lower-fake-quantize -split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.fake_quantize' op has no schedule: run bq-select-schedule first

// A block of threads does a chunk of a row; which row follows from the number of the block.

// CHECK-LABEL: func.func @int4(
// CHECK-SAME:    %[[X:[^:]*]]: !bqgpu.ptr<i16>, %[[SCALE:[^:]*]]: !bqgpu.ptr<f32>, %[[ZERO:[^:]*]]: !bqgpu.ptr<f32>, %[[Y:[^:]*]]: !bqgpu.ptr<i16>, %[[COLUMNS:[^:]*]]: i64)
// CHECK-SAME:    bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[BLOCK:.*]] = bqgpu.block x
// CHECK:         %[[ROW:.*]] = arith.divui %[[BLOCK]], %{{.*}} : i32
// CHECK:         bqgpu.load %[[SCALE]][%[[ROW]]]
// CHECK:         scf.for
// CHECK:           bqgpu.load %[[X]]
// CHECK:           math.roundeven
// CHECK:           bqgpu.store %{{.*}}, %[[Y]]
func.func @int4(%x: tensor<?x?xbf16>, %s: tensor<?xf32>) -> tensor<?x?xbf16> {
  %y = bq.fake_quantize %x, %s {format = #bq.format<"int4">} : tensor<?x?xbf16>, tensor<?xf32>
  return %y : tensor<?x?xbf16>
}

// -----

// The gradient of the scale is added up in registers, then over the block; one thread stores it.

// CHECK-LABEL: func.func @gradient(
// CHECK-SAME:    %[[PARTIALS:[^:]*]]: !bqgpu.ptr<f32>, %{{[^:]*}}: i64)
// CHECK:         bqgpu.shared
// CHECK:         %[[SUM:.*]] = scf.for {{.*}} -> (f32)
// CHECK:           bqgpu.store
// CHECK:         bqgpu.shuffle_xor
// CHECK:         bqgpu.barrier
// CHECK:         scf.if
// CHECK:           bqgpu.store %{{.*}}, %[[PARTIALS]]
func.func @gradient(%g: tensor<?x?xf32>, %x: tensor<?x?xf32>, %s: tensor<?xf32>, %z: tensor<?xf32>)
    -> (tensor<?x?xf32>, tensor<?xf32>) {
  %dx, %ds = bq.fake_quantize_grad %g, %x, %s zero(%z : tensor<?xf32>) {format = #bq.format<"uint4">}
    : tensor<?x?xf32>, tensor<?xf32>
  return %dx, %ds : tensor<?x?xf32>, tensor<?xf32>
}
