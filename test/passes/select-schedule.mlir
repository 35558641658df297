// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule=cpu=znver4 | FileCheck %s
// RUN: bq-opt %s -bq-select-schedule=cpu=haswell | FileCheck %s --check-prefix=AVX2
// RUN: bq-opt %s -bq-select-schedule=cpu=x86-64 | FileCheck %s --check-prefix=GENERIC

!w = !bq.weight<64x256, "int4:g128", f16>

// Few rows, known when compiling: each number has a kernel that streams. A block is as many rows of the weight as the
// vector has lanes.

// CHECK-LABEL: func.func @one_row
// CHECK: #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 16, planes = [4], segment = 128, padded = 128>>
// AVX2-LABEL: func.func @one_row
// AVX2: #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 8, planes = [4], segment = 128, padded = 128>>
// GENERIC-LABEL: func.func @one_row
// GENERIC: #bq.schedule<stream, rows = 1, vectors = 1, layout = <lanes = 4, planes = [4], segment = 128, padded = 128>>
func.func @one_row(%x: tensor<1x256xf32>, %w: !w) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x256xf32>, !w) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// CHECK-LABEL: func.func @eight_rows
// CHECK: #bq.schedule<stream, rows = 8, vectors = 1,
func.func @eight_rows(%x: tensor<8x256xf32>, %w: !w) -> tensor<8x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<8x256xf32>, !w) -> tensor<8x64xf32>
  return %y : tensor<8x64xf32>
}

// Any number of rows: tiles as large as the registers allow.

// CHECK-LABEL: func.func @any_rows
// CHECK: #bq.schedule<panel, rows = {{[0-9]+}}, vectors = {{[0-9]+}}, layout = <lanes = 16,
// AVX2-LABEL: func.func @any_rows
// AVX2: #bq.schedule<panel, rows = {{[0-9]+}}, vectors = {{[0-9]+}}, layout = <lanes = 8,
// GENERIC-LABEL: func.func @any_rows
// GENERIC: #bq.schedule<panel, rows = {{[0-9]+}}, vectors = {{[0-9]+}}, layout = <lanes = 4,
func.func @any_rows(%x: tensor<?x256xf32>, %w: !w) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !w) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// A number of rows that neither takes.

// CHECK-LABEL: func.func @nine_rows
// CHECK: #bq.schedule<reference, rows = 1, vectors = 1,
func.func @nine_rows(%x: tensor<9x256xf32>, %w: !w) -> tensor<9x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<9x256xf32>, !w) -> tensor<9x64xf32>
  return %y : tensor<9x64xf32>
}

// Bits that are no power of two are cut into planes; a group of 100 is padded to whole tiles of 32.

// CHECK-LABEL: func.func @planes_and_padding
// CHECK: layout = <lanes = 16, planes = [2, 1], segment = 100, padded = 128>
func.func @planes_and_padding(%x: tensor<1x200xf32>, %w: !bq.weight<64x200, "int3:g100", f16>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x200xf32>, !bq.weight<64x200, "int3:g100", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// Small groups: lanes are outputs of all groups, and as many pixels as leave registers for the taps.

// CHECK-LABEL: func.func @depthwise
// CHECK: #bq.schedule<direct, rows = 8, vectors = 1, layout = <lanes = 16, planes = [4], segment = 9, padded = 16>>
// AVX2-LABEL: func.func @depthwise
// AVX2: #bq.schedule<direct, rows = 4, vectors = 1, layout = <lanes = 8,
// GENERIC-LABEL: func.func @depthwise
// GENERIC: #bq.schedule<direct, rows = 4, vectors = 1, layout = <lanes = 4,
func.func @depthwise(%x: tensor<?x32x?x?xf32>, %w: !bq.weight<32x9, "int4", f16>) -> tensor<?x32x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, groups = 32, compute = #bq.compute<i8>}
      : (tensor<?x32x?x?xf32>, !bq.weight<32x9, "int4", f16>) -> tensor<?x32x?x?xf32>
  return %y : tensor<?x32x?x?xf32>
}

// Canonical weights have no layout.

// CHECK-LABEL: func.func @row_by_row
// CHECK: bq.embedding {{.*}} {schedule = #bq.schedule<rows>}
// CHECK: bq.dequantize {{.*}} {schedule = #bq.schedule<rows>}
// CHECK: bq.quantize {{.*}} {schedule = #bq.schedule<rows>}
func.func @row_by_row(%i: tensor<?xi64>, %w: !bq.weight<?x256, "int4", f32>) -> (tensor<?x256xf32>, !bq.weight<?x256, "int4", f32>) {
  %0 = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x256, "int4", f32>) -> tensor<?x256xf32>
  %1 = bq.dequantize %w : !bq.weight<?x256, "int4", f32> -> tensor<?x256xf32>
  %2 = bq.quantize %1 : tensor<?x256xf32> -> !bq.weight<?x256, "int4", f32>
  return %0, %2 : tensor<?x256xf32>, !bq.weight<?x256, "int4", f32>
}

// A schedule that is there already stays; what has none gets none.

// CHECK-LABEL: func.func @given_schedule_stays
// CHECK: bq.linear {{.*}} schedule = #bq.schedule<reference, rows = 1>}
// CHECK: bq.activate {{.*}} {activation = #bq.activation<relu>} :
func.func @given_schedule_stays(%x: tensor<1x256xf32>, %w: !w) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<reference, rows = 1>}
      : (tensor<1x256xf32>, !w) -> tensor<1x64xf32>
  %z = bq.activate %y {activation = #bq.activation<relu>} : tensor<1x64xf32>
  return %z : tensor<1x64xf32>
}
