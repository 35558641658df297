// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 | FileCheck %s
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=haswell | FileCheck %s --check-prefix=GROUPS
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=x86-64 | FileCheck %s --check-prefix=DECODED
// RUN: bq-opt %s -bq-select-schedule="cpu=haswell remarks=true" -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: bq-opt %s -bq-select-schedule="cpu=x86-64 remarks=true" -o /dev/null 2>&1 | FileCheck %s --check-prefix=PLAIN
// RUN: bq-opt %s -bq-select-schedule="cpu=znver4 remarks=true" -o /dev/null 2>&1 | FileCheck %s --check-prefix=WIDE

// With VBMI bytes go to the quads that hold their fields, fields to bytes, and a dot product follows. With AVX2 bytes go
// to words, whose products with powers of two and with activations follow. Elsewhere a row is decoded code by code.

// REMARK: stream: cpu 'haswell' has no VBMI
// REMARK: groups: chosen
// PLAIN: groups: cpu 'x86-64' has no AVX2
// PLAIN: reference: chosen

// CHECK-LABEL: llvm.func @whole_groups(
// CHECK: llvm.x86.avx512.permvar.qi.512
// CHECK: llvm.x86.avx512.pmultishift.qb.512
// CHECK: llvm.x86.avx512.mask.compress
// CHECK: llvm.x86.avx512.vpdpbusd.512
// GROUPS-LABEL: llvm.func @whole_groups(
// GROUPS: llvm.x86.avx2.pshuf.b
// GROUPS-NEXT: llvm.bitcast
// GROUPS: llvm.x86.avx2.pmulhu.w
// GROUPS: llvm.x86.avx2.pmadd.wd
// GROUPS-NOT: avx512
// DECODED-LABEL: llvm.func @whole_groups(
// DECODED-NOT: llvm.x86
func.func @whole_groups(%x: tensor<1x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>}
    : (tensor<1x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// REMARK: stream: cpu 'haswell' has no VBMI

// One row of floats: activations are two planes of words, in fixed point of the row, so that products are of integers.
// Bytes of codes are brought to words, of which a mask leaves one half and a shift the other; with four steps at a time
// there is a dot product for each half and plane, of up to four bits and of up to eight.
// CHECK-LABEL: llvm.func @floats(
// CHECK: llvm.x86.avx512.mask.compress
// CHECK-COUNT-4: llvm.x86.avx512.psrlv.w.512
// CHECK: llvm.x86.avx512.vpdpwssd.512
// CHECK-COUNT-4: llvm.x86.avx512.psrlv.w.512
// CHECK-NOT: psrlv.w
// CHECK: llvm.return
// GROUPS-LABEL: llvm.func @floats(
// GROUPS: llvm.x86.avx2.pshuf.b
// GROUPS-NOT: pmadd
// GROUPS: llvm.intr.fma
func.func @floats(%x: tensor<1x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<1x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// REMARK: stream: cpu 'haswell' has no VBMI

// One row of bf16: activations are rounded to it, and products are those of floats.
// CHECK-LABEL: llvm.func @halves(
// CHECK: llvm.x86.avx512.vpdpwssd.512
// CHECK-NOT: dpbf16ps
// CHECK: llvm.return
// GROUPS-LABEL: llvm.func @halves(
// GROUPS-NOT: dpbf16ps
func.func @halves(%x: tensor<1x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>}
    : (tensor<1x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// REMARK: stream: cpu 'haswell' has no VBMI

// One row whose fixed point has fewer bits is one plane of words.
// CHECK-LABEL: llvm.func @words(
// CHECK-COUNT-16: llvm.x86.avx512.vpdpwssd.512
// CHECK-NOT: vpdpwssd
// CHECK: llvm.return
func.func @words(%x: tensor<1x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i16>}
    : (tensor<1x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<1x48xf32>
  return %y : tensor<1x48xf32>
}

// REMARK: stream: cpu 'haswell' has no VBMI

// Two rows of floats: fields of up to seven bits become bytes, three of a lane's four are shuffled to where a mantissa
// begins, and one is there; fields of eight bits are brought to each vector of lanes.
// CHECK-LABEL: llvm.func @two_rows(
// CHECK: llvm.x86.avx512.mask.compress
// CHECK: llvm.x86.avx512.permvar.qi.512
// CHECK-NEXT: llvm.x86.avx512.pmultishift.qb.512
// CHECK-NOT: pmultishift
// CHECK-COUNT-3: llvm.x86.avx512.pshuf.b.512
// CHECK-NOT: pshuf.b
// CHECK: llvm.intr.fma
// CHECK: llvm.x86.avx512.permvar.qi.512
// CHECK-COUNT-4: llvm.x86.avx512.pmultishift.qb.512
// CHECK-NOT: vpdp
// CHECK: llvm.return
func.func @two_rows(%x: tensor<2x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<2x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<2x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<2x48xf32>
  return %y : tensor<2x48xf32>
}

// REMARK: panel: chosen
// PLAIN: panel: cpu 'x86-64' has no AVX2
// PLAIN: reference: chosen

// Any number of rows: 32 codes become bytes, four of which change places between rows and lanes, and a dot product
// follows; with AVX2 one of words, since bytes may be above 127.
// CHECK-LABEL: llvm.func @many_rows(
// CHECK: llvm.x86.avx512.permvar.qi.256
// CHECK: llvm.x86.avx512.pmultishift.qb.256
// CHECK-COUNT-64: llvm.shufflevector
// CHECK: llvm.x86.avx512.vpdpbusd.512
// GROUPS-LABEL: llvm.func @many_rows(
// GROUPS: llvm.x86.avx2.pshuf.b
// GROUPS: llvm.x86.avx2.pmulhu.w
// GROUPS: llvm.shufflevector
// GROUPS: llvm.x86.avx2.pmadd.wd
// GROUPS-NOT: avx512
// DECODED-LABEL: llvm.func @many_rows(
// DECODED-NOT: llvm.x86
func.func @many_rows(%x: tensor<?x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<?x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>}
    : (tensor<?x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// REMARK: panel: cpu 'haswell' has no VNNI, and two planes of bytes take it longer than words
// REMARK: groups: chosen
func.func @many_rows_as_words(%x: tensor<?x256xf32>, %w: !bq.weight<48x256, "mixed:g32", f32>) -> tensor<?x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i16>}
    : (tensor<?x256xf32>, !bq.weight<48x256, "mixed:g32", f32>) -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}

// Short rows are multiplied one group after the other for few rows of activations alone.
// WIDE: panel: made for any number of rows, and with AVX512 for 4 of fewer than 1024 columns, got 3 of 1016
// WIDE: stream: chosen
func.func @three_short_rows(%x: tensor<3x1016xf32>, %w: !bq.weight<48x1016, "mixed:g8", f32>) -> tensor<3x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<3x1016xf32>, !bq.weight<48x1016, "mixed:g8", f32>) -> tensor<3x48xf32>
  return %y : tensor<3x48xf32>
}

// WIDE: panel: chosen
// WIDE: stream: not reached
func.func @four_short_rows(%x: tensor<4x1016xf32>, %w: !bq.weight<48x1016, "mixed:g8", f32>) -> tensor<4x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<4x1016xf32>, !bq.weight<48x1016, "mixed:g8", f32>) -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// WIDE: panel: made for any number of rows, and with AVX512 for 4 of fewer than 1024 columns, got 4 of 1024
// WIDE: stream: chosen
func.func @four_rows(%x: tensor<4x1024xf32>, %w: !bq.weight<48x1024, "mixed:g8", f32>) -> tensor<4x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<4x1024xf32>, !bq.weight<48x1024, "mixed:g8", f32>) -> tensor<4x48xf32>
  return %y : tensor<4x48xf32>
}

// REMARK: panel: groups of 8 lie in several rows of 100
// REMARK: stream: the number of rows is not known
// REMARK: groups: groups of 8 lie in several rows of 100
// REMARK: reference: chosen

// CHECK-LABEL: llvm.func @groups_across_rows(
// CHECK-NOT: pmultishift
func.func @groups_across_rows(%x: tensor<?x100xf32>, %w: !bq.weight<48x100, "mixed:g8", f32>) -> tensor<?x48xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
    : (tensor<?x100xf32>, !bq.weight<48x100, "mixed:g8", f32>) -> tensor<?x48xf32>
  return %y : tensor<?x48xf32>
}
