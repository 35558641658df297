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

// -----

// Tiles written by hand that a lowering cannot do.

func.func @stream_other_rows(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{schedule 'stream' takes the rows of the input and 1 vector, got 3 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 3, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @stream_unknown_rows(%x: tensor<?x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32> {
  // expected-error@+1 {{schedule 'stream' takes the rows of the input and 1 vector, got 1 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<?x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @stream_vectors(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{schedule 'stream' takes the rows of the input and 1 vector, got 1 and 4}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 1, vectors = 4, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @stream_no_rows(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  // expected-error@+1 {{schedule 'stream' takes the rows of the input and 1 vector, got 0 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @panel_odd_rows(%x: tensor<?x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32> {
  // expected-error@+1 {{schedule 'panel' takes an even number of rows up to 32 and 1 to 8 vectors, got 5 and 4}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<panel, rows = 5, vectors = 4, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<?x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @panel_negative_rows(%x: tensor<?x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32> {
  // expected-error@+1 {{got -2 and 4}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<panel, rows = -2, vectors = 4, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<?x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @panel_no_vectors(%x: tensor<?x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32> {
  // expected-error@+1 {{got 6 and 0}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<panel, rows = 6, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<?x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @reference_rows(%x: tensor<9x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<9x32xf32> {
  // expected-error@+1 {{schedule 'reference' takes 1 row and 1 vector, got 9 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<reference, rows = 9, vectors = 1, layout = <lanes = 16, planes = [4], segment = 16, padded = 16>>}
      : (tensor<9x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<9x32xf32>
  return %y : tensor<9x32xf32>
}

// -----

func.func @groups_across_rows(%x: tensor<1x100xf32>, %w: !bq.weight<32x100, "mixed:g8", f32>) -> tensor<1x32xf32> {
  // expected-error@+1 {{schedule 'groups' refuses: groups of 8 lie in several rows of 100}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<groups, rows = 1, vectors = 1, layout = <lanes = 16, planes = [8, 4, 2, 1], segment = 100, padded = 192>>}
      : (tensor<1x100xf32>, !bq.weight<32x100, "mixed:g8", f32>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @stream_of_any_rows(%x: tensor<?x64xf32>, %w: !bq.weight<32x64, "mixed:g8", f32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{schedule 'stream' takes a known number of rows}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<stream, rows = 8, vectors = 1, layout = <lanes = 16, planes = [8, 4, 2, 1], segment = 64, padded = 128>>}
      : (tensor<?x64xf32>, !bq.weight<32x64, "mixed:g8", f32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

func.func @panel_of_groups_across_rows(%x: tensor<?x100xf32>, %w: !bq.weight<32x100, "mixed:g8", f32>) -> tensor<?x32xf32> {
  // expected-error@+1 {{schedule 'panel' refuses: groups of 8 lie in several rows of 100}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<panel, rows = 6, vectors = 2, layout = <lanes = 16, planes = [8, 4, 2, 1], segment = 100, padded = 192>>}
      : (tensor<?x100xf32>, !bq.weight<32x100, "mixed:g8", f32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
