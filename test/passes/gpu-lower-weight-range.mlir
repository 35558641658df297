// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=arch=sm_90a -bq-gpu-lower-weight-range -cse | FileCheck %s
// RUN: not bq-opt %s -bq-gpu-lower-weight-range 2>&1 | FileCheck %s --check-prefix=ERROR

// ERROR: error: 'bq.weight_range' op has no schedule: run bq-select-schedule first

// A block of threads reads a chunk once, eight elements a thread, and folds them in a loop over two halves; what is not
// there takes no part in the range, and NaN and infinity make both results NaN.

// CHECK-LABEL: func.func @range(
// CHECK-SAME:    %[[W:[^:]*]]: !bqgpu.ptr<i16>, %[[LOWS:[^:]*]]: !bqgpu.ptr<f32>, %[[HIGHS:[^:]*]]: !bqgpu.ptr<f32>, %{{.*}}: i64)
// CHECK-SAME:    bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK-DAG:     %[[MOST:.*]] = arith.constant 0x7F800000 : f32
// CHECK-DAG:     %[[LEAST:.*]] = arith.constant 0xFF800000 : f32
// CHECK:         bqgpu.load %[[W]]{{.*}} -> vector<4xi32>
// CHECK:         scf.for
// CHECK:           %[[THERE:.*]] = arith.select %{{.*}}, %[[X:.*]], %[[MOST]]
// CHECK:           arith.minnumf %{{.*}}, %[[THERE]]
// CHECK:           arith.select %{{.*}}, %[[X]], %[[LEAST]]
// CHECK:           %[[POISON:.*]] = arith.subf %[[X]], %[[X]]
// CHECK:           arith.addf %{{.*}}, %[[POISON]]
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.store %{{.*}}, %[[LOWS]]
// CHECK:         bqgpu.store %{{.*}}, %[[HIGHS]]
func.func @range(%w: tensor<?xbf16>) -> (tensor<?xf32>, tensor<?xf32>) {
  %low, %high = bq.weight_range %w : (tensor<?xbf16>) -> (tensor<?xf32>, tensor<?xf32>)
  return %low, %high : tensor<?xf32>, tensor<?xf32>
}
