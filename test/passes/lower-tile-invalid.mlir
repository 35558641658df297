// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -pass-pipeline="builtin.module(func.func(bq-lower-tile{cpu=haswell}))" -split-input-file -verify-diagnostics

// There is no sequence for these: a kernel for such a CPU does not ask for them.

func.func @dot_bf16(%a: vector<8xf32>, %w: vector<16xbf16>) -> vector<8xf32> {
  // expected-error@+1 {{cpu 'haswell' has no dot product of bf16}}
  %r = bq.dot %a, %w, %w : vector<8xf32>, vector<16xbf16>
  return %r : vector<8xf32>
}

// -----

func.func @lookup_words(%t: vector<32xi16>) -> vector<32xi16> {
  // expected-error@+1 {{cpu 'haswell' has no lookup of 32 words}}
  %r = bq.lookup %t, %t : vector<32xi16>, vector<32xi16> -> vector<32xi16>
  return %r : vector<32xi16>
}
