// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule="arch=sm_90a" -split-input-file -verify-diagnostics

func.func @i16(%x: tensor<3x256xf32>, %w: !bq.weight<64x256, "int4:g128", f16>) -> tensor<3x64xf32> {
  // expected-error@+1 {{multiply-adds are for compute f32, got i16; GPUs have f32, bf16 and i8}}
  %y = bq.linear %x, %w {compute = #bq.compute<i16>} : (tensor<3x256xf32>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @mixed_i16(%x: tensor<3x256xf32>, %w: !bq.weight<64x256, "mixed:g8", f32>) -> tensor<3x64xf32> {
  // expected-error@+1 {{schedule 'panel' refuses: GPUs have compute f32, bf16 and i8, got i16}}
  %y = bq.linear %x, %w {compute = #bq.compute<i16>} : (tensor<3x256xf32>, !bq.weight<64x256, "mixed:g8", f32>) -> tensor<3x64xf32>
  return %y : tensor<3x64xf32>
}

// -----

func.func @magnitudes(%w: tensor<?x64xf32>, %r: tensor<?xf32>, %c: tensor<64xf32>, %s: tensor<1xf32>)
    -> (tensor<?xf32>, tensor<?xf32>, tensor<?x64xf32>) {
  // expected-error@+1 {{weights are decomposed on the CPU alone}}
  %o:3 = bq.magnitude_sums %w, %r, %c, %s
    : (tensor<?x64xf32>, tensor<?xf32>, tensor<64xf32>, tensor<1xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?x64xf32>)
  return %o#0, %o#1, %o#2 : tensor<?xf32>, tensor<?xf32>, tensor<?x64xf32>
}

// -----

func.func @gradient_of_a_table(%dy: tensor<3x64xf32>, %w: !bq.weight<64x256, "nf4:g128", f16>) -> tensor<3x256xf32> {
  // expected-error@+1 {{schedule 'gradient' refuses: operands are bf16, in which codes of format nf4:g128 are not exact}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>} : (tensor<3x64xf32>, !bq.weight<64x256, "nf4:g128", f16>) -> tensor<3x256xf32>
  return %dx : tensor<3x256xf32>
}

// -----

func.func @gradient_of_a_mixed_weight(%dy: tensor<3x64xf32>, %w: !bq.weight<64x256, "mixed:g8", f32>) -> tensor<3x256xf32> {
  // expected-error@+1 {{schedule 'gradient' refuses: codes of mixed weights are not prepacked}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<bf16>} : (tensor<3x64xf32>, !bq.weight<64x256, "mixed:g8", f32>) -> tensor<3x256xf32>
  return %dx : tensor<3x256xf32>
}
