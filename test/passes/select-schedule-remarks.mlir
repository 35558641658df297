// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule="cpu=znver4 remarks=true" -split-input-file -verify-diagnostics

// Every candidate in order: chosen, not reached, or the reason why it refused.

func.func @one_row(%x: tensor<1x256xf32>, %w: !bq.weight<64x256, "int4", f16>) -> tensor<1x64xf32> {
  // expected-remark@+3 {{stream: chosen}}
  // expected-remark@+2 {{panel: not reached}}
  // expected-remark@+1 {{reference: not reached}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x256xf32>, !bq.weight<64x256, "int4", f16>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// -----

func.func @any_rows(%x: tensor<?x256xf32>, %w: !bq.weight<64x256, "int4", f16>) -> tensor<?x64xf32> {
  // expected-remark@+3 {{stream: the number of rows is not known}}
  // expected-remark@+2 {{panel: chosen}}
  // expected-remark@+1 {{reference: not reached}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<?x256xf32>, !bq.weight<64x256, "int4", f16>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @nine_rows(%x: tensor<9x256xf32>, %w: !bq.weight<64x256, "int4", f16>) -> tensor<9x64xf32> {
  // expected-remark@+3 {{stream: 9 rows; the accumulators of at most 8 fit the registers}}
  // expected-remark@+2 {{panel: made for any number of rows, got 9}}
  // expected-remark@+1 {{reference: chosen}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<9x256xf32>, !bq.weight<64x256, "int4", f16>) -> tensor<9x64xf32>
  return %y : tensor<9x64xf32>
}

// -----

func.func @rows(%w: !bq.weight<?x256, "int4", f16>) -> tensor<?x256xf16> {
  // expected-remark@+1 {{rows: chosen}}
  %x = bq.dequantize %w : !bq.weight<?x256, "int4", f16> -> tensor<?x256xf16>
  return %x : tensor<?x256xf16>
}
