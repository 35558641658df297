// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-gpu-lower-linear -split-input-file -verify-diagnostics

func.func @cpu(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16> {
  // expected-error@+1 {{no lowering for schedule 'stream' with compute bf16}}
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<stream, rows = 1, vectors = 1>} : (tensor<1x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

func.func @kind(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16> {
  // expected-error@+1 {{no lowering for schedule 'fragment' with compute i8}}
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1>} : (tensor<1x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

func.func @rows(%x: tensor<17x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<17x64xbf16> {
  // expected-error@+1 {{schedule 'fragment' takes 1 to 16 rows and 1 to 4 vectors, got 17 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 17, vectors = 1>} : (tensor<17x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<17x64xbf16>
  return %y : tensor<17x64xbf16>
}

// -----

func.func @eights(%x: tensor<?x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<?x64xbf16> {
  // expected-error@+1 {{schedule 'pipeline' takes 8 to 64 rows in eights and 1 to 4 vectors, got 12 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<pipeline, rows = 12, vectors = 1>} : (tensor<?x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

// -----

func.func @parts(%x: tensor<1x384xbf16>, %w: !bq.weight<64x384, "int4:g128", f16>) -> tensor<1x64xbf16> {
  // expected-error@+1 {{schedule 'fragment' cannot part 3 segments into 4}}
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1, splits = 4>} : (tensor<1x384xbf16>, !bq.weight<64x384, "int4:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}


// -----

func.func @mixed_algorithm(%x: tensor<1x128xf32>, %w: !bq.weight<64x128, "mixed:g8", f32>) -> tensor<1x64xf32> {
  // expected-error@+1 {{no lowering for schedule 'simt' with compute f32 and format mixed:g8}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<simt, rows = 1, vectors = 1>} : (tensor<1x128xf32>, !bq.weight<64x128, "mixed:g8", f32>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// -----

func.func @mixed_tile(%x: tensor<9x128xf32>, %w: !bq.weight<64x128, "mixed:g8", f32>) -> tensor<9x64xf32> {
  // expected-error@+1 {{schedule 'stream' takes 1 to 8 rows, 1 to 2 vectors and 1 split, got 9, 2 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<stream, rows = 9, vectors = 2>} : (tensor<9x128xf32>, !bq.weight<64x128, "mixed:g8", f32>) -> tensor<9x64xf32>
  return %y : tensor<9x64xf32>
}

// -----

func.func @mixed_panel_rows(%x: tensor<9x128xf32>, %w: !bq.weight<64x128, "mixed:g8", f32>) -> tensor<9x64xf32> {
  // expected-error@+1 {{schedule 'panel' takes 8 to 64 rows in eights and 1 vector, got 9 and 1}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<panel, rows = 9, vectors = 1>} : (tensor<9x128xf32>, !bq.weight<64x128, "mixed:g8", f32>) -> tensor<9x64xf32>
  return %y : tensor<9x64xf32>
}

// -----

func.func @mixed_panel_splits(%x: tensor<8x128xf32>, %w: !bq.weight<64x128, "mixed:g8", f32>) -> tensor<8x64xf32> {
  // expected-error@+1 {{schedule 'panel' cannot part 2 segments into 3}}
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<panel, rows = 8, vectors = 1, splits = 3>} : (tensor<8x128xf32>, !bq.weight<64x128, "mixed:g8", f32>) -> tensor<8x64xf32>
  return %y : tensor<8x64xf32>
}

// -----

func.func @gradient_table(%x: tensor<1x64xf32>, %w: !bq.weight<64x128, "nf4:g128", f16>) -> tensor<1x128xf32> {
  // expected-error@+1 {{no lowering for schedule 'gradient' with compute f32 and format nf4:g128}}
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<gradient, rows = 1, vectors = 1>} : (tensor<1x64xf32>, !bq.weight<64x128, "nf4:g128", f16>) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}

// -----

func.func @gradient_tile(%x: tensor<17x64xf32>, %w: !bq.weight<64x512, "int4:g128", f16>) -> tensor<17x512xf32> {
  // expected-error@+1 {{schedule 'gradient' takes 1 to 16 rows and up to 256 columns in vectors, got 17 and 128}}
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<gradient, rows = 17, vectors = 1>} : (tensor<17x64xf32>, !bq.weight<64x512, "int4:g128", f16>) -> tensor<17x512xf32>
  return %y : tensor<17x512xf32>
}

// -----

func.func @gradient_parts(%x: tensor<1x64xf32>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x128xf32> {
  // expected-error@+1 {{schedule 'gradient' cannot part 4 blocks of rows into 5}}
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<gradient, rows = 1, vectors = 1, splits = 5>} : (tensor<1x64xf32>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}
