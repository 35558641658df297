// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-dequantize -split-input-file -verify-diagnostics

func.func @no_schedule(%w: !bq.weight<?x32, "int4", f32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{has no schedule: run bq-select-schedule first}}
  %x = bq.dequantize %w : !bq.weight<?x32, "int4", f32> -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}

// -----

func.func @embedding_no_schedule(%i: tensor<?xi64>, %w: !bq.weight<?x32, "int4", f32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{has no schedule: run bq-select-schedule first}}
  %x = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x32, "int4", f32>) -> tensor<?x32xf32>
  return %x : tensor<?x32xf32>
}

// -----

func.func @other_op_beside_it(%w: !bq.weight<?x32, "int4", f32>) -> tensor<?x32xf32> {
  %x = bq.dequantize %w {schedule = #bq.schedule<rows>} : !bq.weight<?x32, "int4", f32> -> tensor<?x32xf32>
  // expected-error@+1 {{a kernel is one layer: nothing else may stand beside 'bq.dequantize'}}
  %y = bq.activate %x {activation = #bq.activation<relu>} : tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
