// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-prepack -split-input-file -verify-diagnostics

#order = #bq.fragments<planes = [4], segment = 32, padded = 32>
func.func @no_schedule(%w: !bq.weight<?x32, "int4", f32>) -> !bq.weight<?x32, "int4", f32> {
  // expected-error@+1 {{has no schedule: run bq-select-schedule first}}
  %p = bq.prepack %w {order = #order} : !bq.weight<?x32, "int4", f32>
  return %p : !bq.weight<?x32, "int4", f32>
}

// -----

#order = #bq.fragments<planes = [4], segment = 32, padded = 32>
func.func @other_op_beside_it(%x: tensor<?x32xf32>) -> !bq.weight<?x32, "int4", f32> {
  // expected-error@+1 {{a kernel is one layer: nothing else may stand beside 'bq.prepack'}}
  %w = bq.quantize %x : tensor<?x32xf32> -> !bq.weight<?x32, "int4", f32>
  %p = bq.prepack %w {order = #order, schedule = #bq.schedule<rows>} : !bq.weight<?x32, "int4", f32>
  return %p : !bq.weight<?x32, "int4", f32>
}
