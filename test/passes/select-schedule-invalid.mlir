// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule="cpu=znver4" -split-input-file -verify-diagnostics

func.func @prepack(%w: !bq.weight<?x256, "int4:g128", f16>) -> !bq.weight<?x256, "int4:g128", f16> {
  // expected-error@+1 {{schedule 'rows' refuses: kernels prepack weights for GPUs alone}}
  %p = bq.prepack %w {order = #bq.fragments<planes = [4], segment = 128, padded = 128>} : !bq.weight<?x256, "int4:g128", f16>
  return %p : !bq.weight<?x256, "int4:g128", f16>
}

// -----

func.func @mixed_rows(%w: !bq.weight<?x1, "mixed:g8", f32>) -> tensor<?x1xf32> {
  // expected-error@+1 {{schedule 'rows' refuses: the runtime moves mixed codes on CPUs without a kernel}}
  %y = bq.dequantize %w : !bq.weight<?x1, "mixed:g8", f32> -> tensor<?x1xf32>
  return %y : tensor<?x1xf32>
}

// -----

func.func @gradient(%dy: tensor<?x64xf32>, %w: !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x256xf32> {
  // expected-error@+1 {{schedule 'gradient' refuses: CPUs take it as the product with a weight that is transposed before it is prepacked; kernels are for cuda targets}}
  %dx = bq.linear_input_gradient %dy, %w {compute = #bq.compute<f32>} : (tensor<?x64xf32>, !bq.weight<64x256, "int4:g128", f16>) -> tensor<?x256xf32>
  return %dx : tensor<?x256xf32>
}
