// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-select-schedule="cpu=znver4" -verify-diagnostics

func.func @prepack(%w: !bq.weight<?x256, "int4:g128", f16>) -> !bq.weight<?x256, "int4:g128", f16> {
  // expected-error@+1 {{schedule 'rows' refuses: kernels prepack weights for GPUs alone}}
  %p = bq.prepack %w {order = #bq.fragments<planes = [4], segment = 128, padded = 128>} : !bq.weight<?x256, "int4:g128", f16>
  return %p : !bq.weight<?x256, "int4:g128", f16>
}
