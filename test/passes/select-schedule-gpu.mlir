// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The candidates for GPUs: which op gets which, and into how many parts the sum over K goes.
// RUN: bq-opt %s -bq-select-schedule="arch=sm_90a" -split-input-file | FileCheck %s
// RUN: bq-opt %s -bq-select-schedule="arch=sm_80" -split-input-file | FileCheck %s --check-prefix=SM80
// RUN: not bq-opt %s -bq-select-schedule="arch=sm_75" -split-input-file 2>&1 | FileCheck %s --check-prefix=OLD

// OLD: sm_75

// 32 blocks of threads for N = 4096; two for each of 132 multiprocessors are wanted, K = 4096 has four segments for each of 8.
// CHECK-LABEL: @one_row
// CHECK: schedule = #bq.schedule<fragment, rows = 1, vectors = 2, splits = 8>
// SM80-LABEL: @one_row
// SM80: schedule = #bq.schedule<fragment, rows = 1, vectors = 2, splits = 7>
func.func @one_row(%x: tensor<1x4096xbf16>, %w: !bq.weight<4096x4096, "int4:g128", f16>) -> tensor<1x4096xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<1x4096xbf16>, !bq.weight<4096x4096, "int4:g128", f16>) -> tensor<1x4096xbf16>
  return %y : tensor<1x4096xbf16>
}

// -----

// A short sum is not parted.
// CHECK-LABEL: @short
// CHECK: schedule = #bq.schedule<fragment, rows = 8, vectors = 2>
func.func @short(%x: tensor<8x256xbf16>, %w: !bq.weight<64x256, "int4:g128", f16>) -> tensor<8x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<8x256xbf16>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<8x64xbf16>
  return %y : tensor<8x64xbf16>
}

// -----

// Sixteen rows are two operands of activations for one of weights, in every kind of product; of narrow weights too a
// warp has two blocks then.
// CHECK-LABEL: @sixteen
// CHECK: schedule = #bq.schedule<fragment, rows = 16, vectors = 2>
// CHECK: schedule = #bq.schedule<pipeline, rows = 16, vectors = 2>
// CHECK: schedule = #bq.schedule<simt, rows = 16, vectors = 1>
func.func @sixteen(%x: tensor<16x256xbf16>, %w: !bq.weight<64x256, "int2:g128", f16>) -> (tensor<16x64xbf16>, tensor<16x64xbf16>, tensor<16x64xbf16>) {
  %0 = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<16x256xbf16>, !bq.weight<64x256, "int2:g128", f16>) -> tensor<16x64xbf16>
  %1 = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<16x256xbf16>, !bq.weight<64x256, "int2:g128", f16>) -> tensor<16x64xbf16>
  %2 = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<16x256xbf16>, !bq.weight<64x256, "int2:g128", f16>) -> tensor<16x64xbf16>
  return %0, %1, %2 : tensor<16x64xbf16>, tensor<16x64xbf16>, tensor<16x64xbf16>
}

// -----

// CHECK-LABEL: @any_rows
// CHECK: schedule = #bq.schedule<pipeline, rows = 32, vectors = 2
func.func @any_rows(%x: tensor<?x256xf16>, %w: !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x64xf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<?x256xf16>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// CHECK-LABEL: @fixed_point
// CHECK: schedule = #bq.schedule<pipeline, rows = 8, vectors = 2
func.func @fixed_point(%x: tensor<3x256xf32>, %w: !bq.weight<64x256, "nf4:g64", f16>) -> tensor<3x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<3x256xf32>, !bq.weight<64x256, "nf4:g64", f16>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

// CHECK-LABEL: @floats
// CHECK: schedule = #bq.schedule<simt, rows = 3, vectors = 1
func.func @floats(%x: tensor<3x256xf32>, %w: !bq.weight<64x256, "nf4:g64", f16>) -> tensor<3x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<3x256xf32>, !bq.weight<64x256, "nf4:g64", f16>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

// Few rows of mixed weights: as many columns of the result at once as leave enough blocks of threads.

// CHECK-LABEL: @mixed
// CHECK: schedule = #bq.schedule<stream, rows = 3, vectors = 2>
func.func @mixed(%x: tensor<3x256xf32>, %w: !bq.weight<4096x256, "mixed:g8", f32>) -> tensor<3x4096xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<3x256xf32>, !bq.weight<4096x256, "mixed:g8", f32>) -> tensor<3x4096xf32>
  return %y : tensor<3x4096xf32>
}

// -----

// CHECK-LABEL: @mixed_small
// CHECK: schedule = #bq.schedule<stream, rows = 8, vectors = 1>
func.func @mixed_small(%x: tensor<8x256xf32>, %w: !bq.weight<64x256, "mixed:g8", f32>) -> tensor<8x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<8x256xf32>, !bq.weight<64x256, "mixed:g8", f32>) -> tensor<8x64xf32>
  return %y : tensor<8x64xf32>
}

// -----

// More rows meet what a block of threads has decoded; patches do whatever their number is, in parts unless there may be
// many.

// CHECK-LABEL: @mixed_panel
// CHECK: schedule = #bq.schedule<panel, rows = 16, vectors = 1, splits = 4>
func.func @mixed_panel(%x: tensor<16x2048xf32>, %w: !bq.weight<4096x2048, "mixed:g8", f32>) -> tensor<16x4096xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>} : (tensor<16x2048xf32>, !bq.weight<4096x2048, "mixed:g8", f32>) -> tensor<16x4096xf32>
  return %y : tensor<16x4096xf32>
}

// -----

// CHECK-LABEL: @mixed_patches
// CHECK: schedule = #bq.schedule<panel, rows = 64, vectors = 1, splits = 2>
// CHECK: schedule = #bq.schedule<panel, rows = 64, vectors = 1>
func.func @mixed_patches(%x: tensor<?x128x9x9xf32>, %w: !bq.weight<32x1152, "mixed:g8", f32>) -> (tensor<?x32x7x7xf32>, tensor<?x32x7x7xf32>) {
  %0 = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, compute = #bq.compute<bf16>} : (tensor<?x128x9x9xf32>, !bq.weight<32x1152, "mixed:g8", f32>) -> tensor<?x32x7x7xf32>
  %1 = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, compute = #bq.compute<i8>} : (tensor<?x128x9x9xf32>, !bq.weight<32x1152, "mixed:g8", f32>) -> tensor<?x32x7x7xf32>
  return %0, %1 : tensor<?x32x7x7xf32>, tensor<?x32x7x7xf32>
}

// -----

// CHECK-LABEL: @mixed_odd_groups
// CHECK: schedule = #bq.schedule<stream, rows = 1, vectors = 1>
func.func @mixed_odd_groups(%x: tensor<1x256xf32>, %w: !bq.weight<4096x256, "mixed:g20", f32>) -> tensor<1x4096xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>} : (tensor<1x256xf32>, !bq.weight<4096x256, "mixed:g20", f32>) -> tensor<1x4096xf32>
  return %y : tensor<1x4096xf32>
}

// -----

// CHECK-LABEL: @rows
// CHECK: schedule = #bq.schedule<rows>
func.func @rows(%w: !bq.weight<?x256, "int4:g128", f16>) -> tensor<?x256xf16> {
  %y = bq.dequantize %w : !bq.weight<?x256, "int4:g128", f16> -> tensor<?x256xf16>
  return %y : tensor<?x256xf16>
}

// -----

// CHECK-LABEL: @prepack
// CHECK: schedule = #bq.schedule<rows>
func.func @prepack(%w: !bq.weight<?x256, "int4:g128", f16>) -> !bq.weight<?x256, "int4:g128", f16> {
  %p = bq.prepack %w {order = #bq.fragments<planes = [4], segment = 128, padded = 128>} : !bq.weight<?x256, "int4:g128", f16>
  return %p : !bq.weight<?x256, "int4:g128", f16>
}

// -----

// A gradient: a block of threads has 128 columns, or 64 where three parts of many gradients meet them, in segments of
// 128 or of 32; four for each of 132 multiprocessors are wanted, and 1024 rows are 64 blocks of 16, so that each warp has
// four in each of 4 parts.
// CHECK-LABEL: @gradient
// CHECK: schedule = #bq.schedule<gradient, rows = 1, vectors = 1, splits = 4>
// CHECK: schedule = #bq.schedule<gradient, rows = 1, vectors = 4, splits = 4>
// CHECK: schedule = #bq.schedule<gradient, rows = 16, vectors = 2, splits = 4>
func.func @gradient(%x: tensor<1x1024xbf16>, %y: tensor<?x1024xbf16>, %v: !bq.weight<1024x1024, "int4:g128", f16>, %w: !bq.weight<1024x1024, "int4:g32", f16>) -> (tensor<1x1024xbf16>, tensor<1x1024xbf16>, tensor<?x1024xbf16>) {
  %0 = bq.linear_input_gradient %x, %v {compute = #bq.compute<bf16>} : (tensor<1x1024xbf16>, !bq.weight<1024x1024, "int4:g128", f16>) -> tensor<1x1024xbf16>
  %1 = bq.linear_input_gradient %x, %w {compute = #bq.compute<f32>} : (tensor<1x1024xbf16>, !bq.weight<1024x1024, "int4:g32", f16>) -> tensor<1x1024xbf16>
  %2 = bq.linear_input_gradient %y, %w {compute = #bq.compute<f32>} : (tensor<?x1024xbf16>, !bq.weight<1024x1024, "int4:g32", f16>) -> tensor<?x1024xbf16>
  return %0, %1, %2 : tensor<1x1024xbf16>, tensor<1x1024xbf16>, tensor<?x1024xbf16>
}

// -----

// Segments of one bit are longer: the sums of more than eight rows would fill the registers.
// CHECK-LABEL: @long_segments
// CHECK: schedule = #bq.schedule<gradient, rows = 8, vectors = 1>
func.func @long_segments(%x: tensor<16x64xbf16>, %w: !bq.weight<64x1024, "sign", f16>) -> tensor<16x1024xbf16> {
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<bf16>} : (tensor<16x64xbf16>, !bq.weight<64x1024, "sign", f16>) -> tensor<16x1024xbf16>
  return %y : tensor<16x1024xbf16>
}
