// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One thread of each kernel for GPUs: how weights become operands of tensor instructions, where activations come from, and
// how sums that are parted come together.
// RUN: bq-opt %s -bq-gpu-lower-linear -cse -split-input-file | FileCheck %s

// Four bits: the exponent of 128 set above the code, a shift for each register but the first, both halves of a word at once.

// CHECK-LABEL: func.func @four_bits(
// CHECK-SAME:    bqgpu.grid_y = 1 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         bqgpu.shared 80 : !bqgpu.ptr<i32, shared>
// CHECK:         %[[ONES:.*]] = arith.constant 1065369472 : i32
// CHECK:         bqgpu.load %{{.*}} streamed : !bqgpu.ptr<i32>, i64 -> vector<4xi32>
// CHECK:         scf.for
// CHECK:           bqgpu.barrier
// CHECK:           bqgpu.round_pair
// CHECK:           bqgpu.barrier
// CHECK:           scf.for
// CHECK:             %[[X:.*]] = bqgpu.load {{.*}} !bqgpu.ptr<i32, shared>, i32 -> vector<4xi32>
// CHECK:             bqgpu.mma bf16 %{{.*}}, %{{.*}}, %{{.*}} : vector<4xf32>
// CHECK:             %[[MAGIC:.*]] = arith.constant 1124090624 : i32
// CHECK:             %[[MASK:.*]] = arith.constant 983055 : i32
// CHECK:             bqgpu.logic3 %{{.*}}, %[[MASK]], %[[MAGIC]], 234
// CHECK:             arith.shrui
// CHECK:             bqgpu.mma bf16
// CHECK-NOT:     bqgpu.atomic_add
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK:           bqgpu.store %{{.*}} : i32, !bqgpu.ptr<i16>, i64
func.func @four_bits(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 2>} : (tensor<1x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// Two bits: codes of row g + 8 stay two bits up and count four times as much, which their scale makes good.

// CHECK-LABEL: func.func @two_bits(
// CHECK:         %[[QUARTER:.*]] = arith.constant 2.500000e-01 : f32
// CHECK:         arith.mulf %{{.*}}, %[[QUARTER]] : f32
// CHECK:         %[[LOW:.*]] = arith.constant 196611 : i32
// CHECK:         bqgpu.logic3 %[[WORD:.*]], %[[LOW]], %{{.*}}, 234
// CHECK:         %[[UP:.*]] = arith.constant 786444 : i32
// CHECK:         bqgpu.logic3 %[[WORD]], %[[UP]], %{{.*}}, 234
func.func @two_bits(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "int2:g128", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1>} : (tensor<1x128xbf16>, !bq.weight<64x128, "int2:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// Three bits: two of one plane and one of another, joined where the bf16 wants them.

// CHECK-LABEL: func.func @three_bits(
// CHECK:         %[[LOW:.*]] = arith.constant 196611 : i32
// CHECK:         %[[TWO:.*]] = bqgpu.logic3 %{{.*}}, %[[LOW]], %{{.*}}, 234
// CHECK:         %[[TOP:.*]] = arith.constant 262148 : i32
// CHECK:         bqgpu.logic3 %{{.*}}, %[[TOP]], %[[TWO]], 234
func.func @three_bits(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "int3:g128", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1>} : (tensor<1x128xbf16>, !bq.weight<64x128, "int3:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// A sign is the sign of 1; nothing has to be taken out of the sum.

// CHECK-LABEL: func.func @signs(
// CHECK-NOT:     arith.constant 1065369472 : i32
// CHECK:         %[[MINUS:.*]] = arith.constant -1082081408 : i32
// CHECK:         %[[BIT:.*]] = arith.constant -2147450880 : i32
// CHECK:         bqgpu.logic3 %{{.*}}, %[[BIT]], %[[MINUS]], 106
func.func @signs(%x: tensor<1x256xbf16>, %w: !bq.weight<64x256, "sign", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1>} : (tensor<1x256xbf16>, !bq.weight<64x256, "sign", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// A table is in shared memory; a byte holds two codes and finds the values of both.

// CHECK-LABEL: func.func @table(
// CHECK:         %[[TABLE:.*]] = bqgpu.shared 256 : !bqgpu.ptr<i32, shared>
// CHECK:         bqgpu.store %{{.*}}, %[[TABLE]]
// CHECK:         bqgpu.barrier
// CHECK:         %[[ALL:.*]] = arith.constant 255 : i32
// CHECK:         %[[BYTE:.*]] = arith.andi %{{.*}}, %[[ALL]] : i32
// CHECK:         bqgpu.load %[[TABLE]][%[[BYTE]]]
// CHECK:         bqgpu.permute_bytes
func.func @table(%x: tensor<1x128xbf16>, %w: !bq.weight<64x128, "nf4:g64", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1>} : (tensor<1x128xbf16>, !bq.weight<64x128, "nf4:g64", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// Fixed point: rows are converted by a kernel before, which reads them twice, and copied while those before are multiplied. Codes are bytes where
// they stand.

// CHECK-LABEL: func.func @fixed_point_prepare(
// CHECK:         %[[SECOND:.*]] = arith.cmpi eq, %{{.*}}, %c1_i32 : i32
// CHECK:         scf.for
// CHECK:           scf.if %[[SECOND]] {
// CHECK:             bqgpu.permute_bytes
// CHECK:             bqgpu.store %{{.*}} : vector<2xi32>, !bqgpu.ptr<i32>, i64
// CHECK-COUNT-5: bqgpu.shuffle_xor
// CHECK-LABEL: func.func @fixed_point(
// CHECK:         %[[AHEAD:.*]] = arith.constant 3 : i32
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[AHEAD]]
// CHECK:             bqgpu.copy_async
// CHECK:           bqgpu.commit_copies
// CHECK:         scf.for
// CHECK:           bqgpu.wait_copies 2
// CHECK-NEXT:      bqgpu.barrier
// CHECK:             bqgpu.copy_async
// CHECK:           bqgpu.commit_copies
// CHECK:           %[[MASK:.*]] = arith.constant 252645135 : i32
// CHECK:           arith.andi %{{.*}}, %[[MASK]] : i32
// CHECK:           bqgpu.mma u8s8 %{{.*}} : vector<4xi32>
func.func @fixed_point(%x: tensor<?x512xf32>, %w: !bq.weight<64x512, "int4:g128", f16>) -> tensor<?x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<i8>, schedule = #bq.schedule<pipeline, rows = 32, vectors = 2>} : (tensor<?x512xf32>, !bq.weight<64x512, "int4:g128", f16>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// f32: weights one by one, multiplied and added; four lanes share a sum.

// CHECK-LABEL: func.func @floats(
// CHECK-NOT:     bqgpu.mma
// CHECK:         arith.sitofp
// CHECK:         math.fma
// CHECK:         bqgpu.shuffle_xor %{{.*}} 1
// CHECK:         bqgpu.shuffle_xor %{{.*}} 2
func.func @floats(%x: tensor<2x128xf32>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<2x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<simt, rows = 2, vectors = 1>} : (tensor<2x128xf32>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<2x64xf32>
  return %y : tensor<2x64xf32>
}

// -----

// A sum in two parts: each writes its own, and the last to come adds them in order.

// CHECK-LABEL: func.func @parted(
// CHECK-SAME:    %[[WORK:[^:]*]]: !bqgpu.ptr<f32>, %[[COUNTERS:[^:]*]]: !bqgpu.ptr<i32>, %{{[^:]*}}: i64, %{{[^:]*}}: i64, %{{[^:]*}}: i32) attributes {bqgpu.grid_y = 1 : i32, bqgpu.grid_z = 2 : i32
// CHECK:         bqgpu.store %{{.*}}, %[[WORK]]
// CHECK:         bqgpu.fence
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.atomic_add %{{.*}}, %[[COUNTERS]]
// CHECK:         bqgpu.barrier
// CHECK:         scf.for %{{.*}} = %{{.*}} to %c2_i32
// CHECK:           bqgpu.load %[[WORK]][%{{.*}}] fresh
func.func @parted(%x: tensor<1x512xbf16>, %w: !bq.weight<64x512, "int4:g128", f16>) -> tensor<1x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 1, vectors = 1, splits = 2>} : (tensor<1x512xbf16>, !bq.weight<64x512, "int4:g128", f16>) -> tensor<1x64xbf16>
  return %y : tensor<1x64xbf16>
}

// -----

// Rows of bf16 that are aligned are copied as they are, others converted; a barrier is behind both.

// CHECK-LABEL: func.func @copied(
// CHECK:         %[[X:.*]] = bqgpu.address
// CHECK:         arith.constant 15 : i64
// CHECK:         %[[ALIGNED:.*]] = arith.cmpi eq
// CHECK:         scf.if %[[ALIGNED]] {
// CHECK:           bqgpu.copy_async {{.*}} : !bqgpu.ptr<i16>, i64, !bqgpu.ptr<i32, shared>
// CHECK:         } else {
// CHECK:           bqgpu.round_pair
// CHECK:           bqgpu.store %{{.*}} : vector<4xi32>, !bqgpu.ptr<i32, shared>
// CHECK:         bqgpu.commit_copies
// CHECK-NEXT:    bqgpu.wait_copies 0
// CHECK-NEXT:    bqgpu.barrier
func.func @copied(%x: tensor<4x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<4x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<fragment, rows = 4, vectors = 1>} : (tensor<4x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<4x64xbf16>
  return %y : tensor<4x64xbf16>
}

// -----

// Where there are many products for each unit of 32 codes, a loop takes few units at a time: the words that it has used
// go behind the others.

// CHECK-LABEL: func.func @rolled(
// CHECK:           bqgpu.wait_copies 2
// CHECK:           scf.for %{{.*}} = %{{.*}} iter_args({{.*}}) -> ({{(vector<4xf32>, )+}}i32, i32, i32, i32, i32, i32, i32, i32)
// CHECK-COUNT-12:    bqgpu.mma bf16
// CHECK:             scf.yield
func.func @rolled(%x: tensor<?x128xbf16>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<?x64xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<pipeline, rows = 64, vectors = 1>} : (tensor<?x128xbf16>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}

// -----

// Patches: the kernel that prepares takes the geometry, one number after the other, and asks of each element's pixel
// whether it is in the image. The kernel behind it reads rows.

// CHECK-LABEL: func.func @patches_prepare(
// CHECK-SAME:    %{{[^:]*}}: i64, %[[M:[^:]*]]: i32, %{{[^:]*}}: i64, %{{[^:]*}}: i64, %{{[^:]*}}: i64, %[[FIRST:[^:]*]]: i32, %{{[^:]*}}: i32, %[[WIDTH:[^:]*]]: i32
// CHECK:         %[[PIXEL:.*]] = arith.addi %{{.*}}, %[[FIRST]] : i32
// CHECK:         arith.divui %[[PIXEL]], %[[WIDTH]] : i32
// CHECK:         arith.remui %[[PIXEL]], %[[WIDTH]] : i32
// CHECK:         scf.if
// CHECK:         bqgpu.round_pair
// CHECK-LABEL: func.func @patches(
// CHECK-SAME:    %{{[^:]*}}: i64, %{{[^:]*}}: i64, %{{[^:]*}}: i32) attributes
// CHECK:         bqgpu.mma bf16
func.func @patches(%x: tensor<?x8x?x?xf32>, %w: !bq.weight<64x72, "int4:g8", f16>) -> tensor<?x64x?x?xf32> {
  %y = bq.conv2d %x, %w {kernel = array<i64: 3, 3>, compute = #bq.compute<bf16>, schedule = #bq.schedule<pipeline, rows = 32, vectors = 2>} : (tensor<?x8x?x?xf32>, !bq.weight<64x72, "int4:g8", f16>) -> tensor<?x64x?x?xf32>
  return %y : tensor<?x64x?x?xf32>
}

// -----

// A mixed weight: what depends on a width is looked up by it. The codes of a piece are three words, or five where the
// width is above eight; those of the next piece are loaded before these are multiplied.

// CHECK-LABEL: func.func @mixed(
// CHECK-SAME:    %[[CODES:[^:]*]]: !bqgpu.ptr<i32>, %{{[^:]*}}: !bqgpu.ptr<f32>, %[[PLACES:[^:]*]]: !bqgpu.ptr<i32>, %[[INDEX:[^:]*]]: !bqgpu.ptr<i64>
// CHECK-SAME:    bqgpu.grid_y = 32 : i32
// CHECK:         bqgpu.shared 16 : !bqgpu.ptr<i64, shared>
// CHECK:         bqgpu.load %[[INDEX]]
// CHECK:         bqgpu.barrier
// CHECK:         scf.for
// CHECK:           %[[BEGIN:.*]] = bqgpu.load {{.*}} : !bqgpu.ptr<i64, shared>, i32 -> i64
// CHECK-COUNT-3:   bqgpu.load %[[CODES]]
// CHECK:           scf.if {{.*}} -> (i32, i32)
// CHECK-COUNT-2:     bqgpu.load %[[CODES]]
// CHECK:           bqgpu.load %[[PLACES]]
// CHECK-COUNT-8:   math.fma
// CHECK-NOT:     bqgpu.mma
func.func @mixed(%x: tensor<1x2048xf32>, %w: !bq.weight<64x2048, "mixed:g8", f32>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<stream, rows = 1, vectors = 2>} : (tensor<1x2048xf32>, !bq.weight<64x2048, "mixed:g8", f32>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// -----

// Groups that are not eights are decoded code by code, each from two words.

// CHECK-LABEL: func.func @mixed_odd(
// CHECK:         scf.for
// CHECK:           scf.for {{.*}} -> (f32, f32, f32, f32, f32, f32, f32, f32)
// CHECK-COUNT-2:     bqgpu.load %{{.*}} : !bqgpu.ptr<i32>, i64 -> i32
func.func @mixed_odd(%x: tensor<1x60xf32>, %w: !bq.weight<64x60, "mixed:g5", f32>) -> tensor<1x64xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<stream, rows = 1, vectors = 1>} : (tensor<1x60xf32>, !bq.weight<64x60, "mixed:g5", f32>) -> tensor<1x64xf32>
  return %y : tensor<1x64xf32>
}

// -----

// With many rows a segment of the weight is decoded to shared memory while the activations are copied there, and met by
// all of them: no thread multiplies before both are there.

// CHECK-LABEL: func.func @mixed_panel(
// CHECK-SAME:    bqgpu.grid_y = 2 : i32, bqgpu.grid_z = 2 : i32, bqgpu.rows_per_block = 16 : i32
// CHECK:         %[[PANEL:.*]] = bqgpu.shared 5120 : !bqgpu.ptr<i32, shared>
// CHECK:         scf.for
// CHECK:           bqgpu.barrier
// CHECK:           bqgpu.copy_async
// CHECK:           bqgpu.commit_copies
// CHECK:           scf.for
// CHECK:             math.fma
// CHECK:             bqgpu.round_pair
// CHECK:             bqgpu.store {{.*}}, %[[PANEL]]
// CHECK:           bqgpu.wait_copies 0
// CHECK-NEXT:      bqgpu.barrier
// CHECK:           scf.for
// CHECK:             bqgpu.load %[[PANEL]]
// CHECK-COUNT-4:     bqgpu.mma bf16
// CHECK:         bqgpu.barrier
// CHECK:         bqgpu.store {{.*}}, %[[PANEL]]
func.func @mixed_panel(%x: tensor<12x512xbf16>, %w: !bq.weight<100x512, "mixed:g8", f32>) -> tensor<12x100xbf16> {
  %y = bq.linear %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<panel, rows = 16, vectors = 1, splits = 2>} : (tensor<12x512xbf16>, !bq.weight<100x512, "mixed:g8", f32>) -> tensor<12x100xbf16>
  return %y : tensor<12x100xbf16>
}

// -----

// In f32 by multiply-adds: of four columns, four rows of the weight and two of the activations for each thread.

// CHECK-LABEL: func.func @mixed_panel_f32(
// CHECK-NOT:     bqgpu.copy_async
// CHECK:         %{{.*}}:8 = scf.for
// CHECK-COUNT-6:   bqgpu.load {{.*}} -> vector<4xi32>
// CHECK-COUNT-32:  math.fma
func.func @mixed_panel_f32(%x: tensor<12x60xf32>, %w: !bq.weight<100x60, "mixed:g5", f32>) -> tensor<12x100xf32> {
  %y = bq.linear %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<panel, rows = 16, vectors = 1>} : (tensor<12x60xf32>, !bq.weight<100x60, "mixed:g5", f32>) -> tensor<12x100xf32>
  return %y : tensor<12x100xf32>
}

// -----

// A gradient: gradients meet scales and are rounded, codes become exact bf16, and the four matrices of operand A change
// places. What zero points add is summed in f32 and taken off; sums of the warps are added in turn.

// CHECK-LABEL: func.func @gradient(
// CHECK-SAME:    bqgpu.grid_y = 2 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 1 : i32, bqgpu.threads = 128 : i32
// CHECK:         %[[SUMS:.*]] = bqgpu.shared 129 : !bqgpu.ptr<i32, shared>
// CHECK:         %[[ZEROS:.*]] = bqgpu.shared 32 : !bqgpu.ptr<f32, shared>
// CHECK:         scf.for
// CHECK:           bqgpu.load %{{.*}} streamed : !bqgpu.ptr<i32>, i64 -> vector<4xi32>
// CHECK:           %[[X:.*]] = arith.mulf
// CHECK:           %[[OPERAND:.*]] = bqgpu.round_pair
// CHECK:           math.fma
// CHECK:           %[[OFFSET:.*]] = arith.constant -1023360256 : i32
// CHECK:           %[[CODES:.*]] = bqgpu.add_pair %{{.*}}, %[[OFFSET]]
// CHECK-COUNT-4:   bqgpu.transpose
// CHECK:           bqgpu.mma bf16
// CHECK:         bqgpu.shuffle_xor %{{.*}}, 1 : f32
// CHECK:         bqgpu.shuffle_xor %{{.*}}, 2 : f32
// CHECK:         bqgpu.barrier
// CHECK:         arith.subf
// CHECK:         scf.for
// CHECK:           scf.if
// CHECK:             arith.addf
// CHECK:           bqgpu.barrier
// CHECK:         bqgpu.store %{{.*}} : i32, !bqgpu.ptr<i16>, i64
func.func @gradient(%x: tensor<1x64xbf16>, %w: !bq.weight<64x256, "uint4:g128", f16, zero = u8>) -> tensor<1x256xbf16> {
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<bf16>, schedule = #bq.schedule<gradient, rows = 1, vectors = 1>} : (tensor<1x64xbf16>, !bq.weight<64x256, "uint4:g128", f16, zero = u8>) -> tensor<1x256xbf16>
  return %y : tensor<1x256xbf16>
}

// -----

// In f32 the product of a gradient and a scale is three bf16, each the rest of those before it.

// CHECK-LABEL: func.func @gradient_f32(
// CHECK-SAME:    bqgpu.grid_z = 2 : i32
// CHECK:         arith.mulf
// CHECK:         bqgpu.round_pair
// CHECK:         arith.subf
// CHECK:         bqgpu.round_pair
// CHECK:         arith.subf
// CHECK:         bqgpu.round_pair
// CHECK:         bqgpu.transpose
// CHECK-COUNT-3: bqgpu.mma bf16
// CHECK:         bqgpu.atomic_add
func.func @gradient_f32(%x: tensor<1x64xf32>, %w: !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x128xf32> {
  %y = bq.linear_input_gradient %x, %w {compute = #bq.compute<f32>, schedule = #bq.schedule<gradient, rows = 1, vectors = 1, splits = 2>} : (tensor<1x64xf32>, !bq.weight<64x128, "int4:g128", f16>) -> tensor<1x128xf32>
  return %y : tensor<1x128xf32>
}
