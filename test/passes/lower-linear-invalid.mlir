// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-lower-linear=cpu=znver4 -split-input-file -verify-diagnostics
// RUN: not bq-opt %s -bq-lower-linear=cpu=z80 -split-input-file 2>&1 | FileCheck %s

// CHECK: error: cpu 'z80' is not known: use one of host, x86-64,

func.func @no_schedule(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{has no schedule: run bq-select-schedule first}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @other_op_beside_it(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>, %b: tensor<32xf32>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  // expected-error@+1 {{a kernel is one layer: nothing else may stand beside 'bq.linear'}}
  %z = bq.add_bias %y, %b : tensor<1x32xf32>, tensor<32xf32>
  return %z : tensor<1x32xf32>
}

// -----

func.func @two_layers(%x: tensor<1x16xf32>, %w: !bq.weight<16x16, "int4", f16>) -> tensor<1x16xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<16x16, "int4", f16>) -> tensor<1x16xf32>
  // expected-error@+1 {{a kernel is one layer: nothing else may stand beside 'bq.linear'}}
  %z = bq.linear %y, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<16x16, "int4", f16>) -> tensor<1x16xf32>
  return %z : tensor<1x16xf32>
}

// -----

func.func @layout_of_another_cpu(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{the schedule's layout is not that of cpu 'znver4', #bq.layout<lanes = 16, planes = [4], segment = 16, padded = 16>}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 8, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @no_layout(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{the schedule's layout is not that of cpu 'znver4'}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, vectors = 1>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @unknown_schedule(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{no lowering for schedule 'swift'}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<swift, rows = 1, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}
