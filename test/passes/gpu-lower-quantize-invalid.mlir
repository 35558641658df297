// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-quantize -split-input-file -verify-diagnostics

func.func @no_schedule(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "int4", f32> {
  // expected-error@+1 {{has no schedule: run bq-select-schedule first}}
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "int4", f32>
  return %w : !bq.weight<?x32, "int4", f32>
}

// -----

func.func @other_op_beside_it(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %w = bq.quantize %x {schedule = #bq.schedule<rows>} : tensor<?x32xf32> -> !bq.weight<?x32, "int4", f32>
  // expected-error@+1 {{a kernel is one layer: nothing else may stand beside 'bq.quantize'}}
  %y = bq.dequantize %w : !bq.weight<?x32, "int4", f32> -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
