// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-llvm -split-input-file -verify-diagnostics

// An op that an earlier pass should have lowered is an error, not left to the translation.

// expected-error@+1 {{failed to legalize operation 'func.func'}}
func.func @layer(%x: tensor<1x16xf32>, %w: !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>} : (tensor<1x16xf32>, !bq.weight<32x16, "int4", f16>) -> tensor<1x32xf32>
  return %y : tensor<1x32xf32>
}

// -----

func.func @tile(%a: vector<16xi32>, %w: vector<64xi8>) -> vector<16xi32> {
  // expected-error@+1 {{failed to legalize operation 'bq.dot'}}
  %r = bq.dot %a, %w, %w : vector<16xi32>, vector<64xi8>
  return %r : vector<16xi32>
}
