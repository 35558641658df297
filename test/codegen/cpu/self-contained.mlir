// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=znver4 | %to-llvm-ir | %to-machine-code -mcpu=znver4 -filetype=obj -o %t.znver4.o
// RUN: llvm-nm --undefined-only %t.znver4.o | count 0
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=skylake-avx512 | %to-llvm-ir | %to-machine-code -mcpu=skylake-avx512 -filetype=obj -o %t.skylake.o
// RUN: llvm-nm --undefined-only %t.skylake.o | count 0
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=haswell | %to-llvm-ir | %to-machine-code -mcpu=haswell -filetype=obj -o %t.haswell.o
// RUN: llvm-nm --undefined-only %t.haswell.o | count 0
// RUN: bq-opt %s -bq-cpu-pipeline=cpu=x86-64 | %to-llvm-ir | %to-machine-code -mcpu=x86-64 -filetype=obj -o %t.generic.o
// RUN: llvm-nm --undefined-only %t.generic.o | count 0
// RUN: llvm-nm --defined-only %t.generic.o | FileCheck %s

// A kernel is loaded by mapping it: it refers to nothing outside itself, whatever the CPU lacks, and has no data that is
// written. Each function here needs something that a library would supply on some CPU.

// CHECK-NOT: {{^[0-9a-f]+ [^Ttr] }}

func.func @gelu(%x: tensor<1x100xf32>, %w: !bq.weight<40x100, "int4:g50", f16>, %b: tensor<40xf32>) -> tensor<1x40xf32> {
  %y = bq.linear %x, %w bias(%b : tensor<40xf32>) {activation = #bq.activation<gelu>, compute = #bq.compute<i8>}
      : (tensor<1x100xf32>, !bq.weight<40x100, "int4:g50", f16>) -> tensor<1x40xf32>
  return %y : tensor<1x40xf32>
}

func.func @gelu_tanh(%x: tensor<4x100xf16>, %w: !bq.weight<40x100, "int3:g50", f16>) -> tensor<4x40xf16> {
  %y = bq.linear %x, %w {activation = #bq.activation<gelu_tanh>, compute = #bq.compute<i16>}
      : (tensor<4x100xf16>, !bq.weight<40x100, "int3:g50", f16>) -> tensor<4x40xf16>
  return %y : tensor<4x40xf16>
}

func.func @silu(%x: tensor<?x100xf16>, %w: !bq.weight<40x100, "uint5:g50", f16, zero = u8>, %b: tensor<40xf32>) -> tensor<?x40xf16> {
  %y = bq.linear %x, %w bias(%b : tensor<40xf32>) {activation = #bq.activation<silu>, compute = #bq.compute<i16>}
      : (tensor<?x100xf16>, !bq.weight<40x100, "uint5:g50", f16, zero = u8>) -> tensor<?x40xf16>
  return %y : tensor<?x40xf16>
}

func.func @relu_bf16(%x: tensor<?x128xbf16>, %w: !bq.weight<64x128, "nf4:g64", bf16>) -> tensor<?x64xbf16> {
  %y = bq.linear %x, %w {activation = #bq.activation<relu>, compute = #bq.compute<bf16>}
      : (tensor<?x128xbf16>, !bq.weight<64x128, "nf4:g64", bf16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

func.func @table_i16(%x: tensor<1x100xf32>, %w: !bq.weight<40x100, "lut3", f32>) -> tensor<1x40xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i16>}
      : (tensor<1x100xf32>, !bq.weight<40x100, "lut3", f32>) -> tensor<1x40xf32>
  return %y : tensor<1x40xf32>
}

func.func @table_i8(%x: tensor<?x100xf32>, %w: !bq.weight<40x100, "fp4", f32>) -> tensor<?x40xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>}
      : (tensor<?x100xf32>, !bq.weight<40x100, "fp4", f32>) -> tensor<?x40xf32>
  return %y : tensor<?x40xf32>
}

func.func @floats(%x: tensor<2x100xbf16>, %w: !bq.weight<40x100, "uint8", bf16, zero = f32>) -> tensor<2x40xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>}
      : (tensor<2x100xbf16>, !bq.weight<40x100, "uint8", bf16, zero = f32>) -> tensor<2x40xbf16>
  return %y : tensor<2x40xbf16>
}

func.func @sign_bf16(%x: tensor<1x100xf16>, %w: !bq.weight<40x100, "sign", f16>) -> tensor<1x40xf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>}
      : (tensor<1x100xf16>, !bq.weight<40x100, "sign", f16>) -> tensor<1x40xf16>
  return %y : tensor<1x40xf16>
}

func.func @permuted(%x: tensor<1x100xf32>, %w: !bq.weight<40x100, "int2:g50", f16>) -> tensor<1x40xf32> {
  %y = bq.linear %x, %w {permuted, compute = #bq.compute<bf16>}
      : (tensor<1x100xf32>, !bq.weight<40x100, "int2:g50", f16>) -> tensor<1x40xf32>
  return %y : tensor<1x40xf32>
}

func.func @dequantize_f16(%w: !bq.weight<?x100, "uint3:g50", f16, zero = u8>) -> tensor<?x100xf16> {
  %x = bq.dequantize %w : !bq.weight<?x100, "uint3:g50", f16, zero = u8> -> tensor<?x100xf16>
  return %x : tensor<?x100xf16>
}

func.func @embedding_bf16(%i: tensor<?xi64>, %w: !bq.weight<?x100, "nf4", bf16>) -> tensor<?x100xbf16> {
  %x = bq.embedding %i, %w : (tensor<?xi64>, !bq.weight<?x100, "nf4", bf16>) -> tensor<?x100xbf16>
  return %x : tensor<?x100xbf16>
}

func.func @quantize_f16(%x: tensor<?x100xf16>) -> !bq.weight<?x100, "uint4:g50", f16, zero = u8> {
  %w = bq.quantize %x : tensor<?x100xf16> -> !bq.weight<?x100, "uint4:g50", f16, zero = u8>
  return %w : !bq.weight<?x100, "uint4:g50", f16, zero = u8>
}

func.func @quantize_bf16(%x: tensor<?x100xbf16>) -> !bq.weight<?x100, "nf4:g30", bf16> {
  %w = bq.quantize %x : tensor<?x100xbf16> -> !bq.weight<?x100, "nf4:g30", bf16>
  return %w : !bq.weight<?x100, "nf4:g30", bf16>
}
