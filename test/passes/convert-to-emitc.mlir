// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-emitc | FileCheck %s --check-prefix=IR
// RUN: bq-opt %s -bq-convert-to-emitc -mlir-print-op-generic | %to-cpp > %t.cpp
// RUN: grep -v '^ *#line' %t.cpp | FileCheck %s
// RUN: %cxx -std=c++17 -fsyntax-only -Wall -Werror -Wno-unknown-pragmas -Wno-unused -I%bq_src \
// RUN:   -include runtime/emu/EmuPrelude.h %t.cpp

// What the function says of its launch stays, and how much shared memory it needs is added. Each piece of shared memory
// begins at a multiple of 16 bytes.

// IR-LABEL: emitc.func @launch(
// IR-SAME:    %{{[^:]*}}: !emitc.ptr<i8>, %{{[^:]*}}: !emitc.ptr<f32>, %{{[^:]*}}: i64, %{{[^:]*}}: i32)
// IR-SAME:    bqgpu.grid_y = 2 : i32, bqgpu.grid_z = 1 : i32, bqgpu.rows_per_block = 16 : i32,
// IR-SAME:    bqgpu.shared_bytes = 80 : i32, bqgpu.threads = 128 : i32
// IR-SAME:    specifiers = ["extern \22C\22", "__global__", "__launch_bounds__(128, 1)"]
// CHECK-LABEL: extern "C" __global__ __launch_bounds__(128, 1) void launch(
// CHECK-SAME:    int8_t* [[P:v[0-9]+]], float* [[Q:v[0-9]+]], int64_t [[L:v[0-9]+]], int32_t [[I:v[0-9]+]]) {
// CHECK-NEXT:    float* [[A:v[0-9]+]] = bq_shared<float>(0);
// CHECK-NEXT:    int16_t* [[B:v[0-9]+]] = bq_shared<int16_t>(16);
// CHECK-NEXT:    int32_t* [[C:v[0-9]+]] = bq_shared<int32_t>(64);
// CHECK-NEXT:    return;
// CHECK-NEXT:  }
func.func @launch(%p: !bqgpu.ptr<i8>, %q: !bqgpu.ptr<f32>, %l: i64, %i: i32)
    attributes {bqgpu.threads = 128 : i32, bqgpu.rows_per_block = 16 : i32, bqgpu.grid_y = 2 : i32, bqgpu.grid_z = 1 : i32} {
  %a = bqgpu.shared 3 : !bqgpu.ptr<f32, shared>
  %b = bqgpu.shared 17 : !bqgpu.ptr<i16, shared>
  %c = bqgpu.shared 4 : !bqgpu.ptr<i32, shared>
  return
}

// CHECK-LABEL: void threads(
func.func @threads(%x: f32, %i: i32) attributes {bqgpu.threads = 32 : i32} {
  // CHECK: = bq_thread();
  // CHECK: = bq_block_x();
  // CHECK: = bq_block_y();
  // CHECK: = bq_block_z();
  %t = bqgpu.thread
  %bx = bqgpu.block x
  %by = bqgpu.block y
  %bz = bqgpu.block z
  // CHECK: {{^}} bq_barrier();
  bqgpu.barrier
  // CHECK: float {{.*}} = bq_shuffle_xor(v1, 16);
  %s = bqgpu.shuffle_xor %x, 16 : f32
  return
}

// Where memory is, and what is known of it, is in the name of the call; an element's width in the pointer.

// CHECK-LABEL: void memory(
// CHECK-SAME:    int8_t* [[P:v[0-9]+]], int32_t* [[W:v[0-9]+]], float* [[X:v[0-9]+]], int64_t [[L:v[0-9]+]], int32_t [[I:v[0-9]+]])
func.func @memory(%p: !bqgpu.ptr<i8>, %w: !bqgpu.ptr<i32>, %x: !bqgpu.ptr<f32>, %l: i64, %i: i32)
    attributes {bqgpu.threads = 32 : i32} {
  %c2 = arith.constant 2 : i32
  // CHECK: int32_t* [[S:v[0-9]+]] = bq_shared<int32_t>(0);
  %s = bqgpu.shared 256 : !bqgpu.ptr<i32, shared>
  // CHECK: int64_t {{.*}} = bq_address([[P]]);
  %a = bqgpu.address %p : !bqgpu.ptr<i8>
  // CHECK: int32_t [[BYTE:v[0-9]+]] = bq_load<int32_t>([[P]] + [[L]]);
  // CHECK: bq_i32x4 {{.*}} = bq_load<bq_i32x4>([[P]] + [[L]]);
  // CHECK: bq_i32x4 [[WORDS:v[0-9]+]] = bq_load_streamed<bq_i32x4>([[W]] + 2);
  // CHECK: float [[F:v[0-9]+]] = bq_load_fresh<float>([[X]] + [[I]]);
  // CHECK: bq_i32x2 [[PAIR:v[0-9]+]] = bq_load_shared<bq_i32x2>([[S]] + [[I]]);
  %0 = bqgpu.load %p[%l] : !bqgpu.ptr<i8>, i64 -> i32
  %whole = bqgpu.load %p[%l] : !bqgpu.ptr<i8>, i64 -> vector<4xi32>
  %1 = bqgpu.load %w[%c2] streamed : !bqgpu.ptr<i32>, i32 -> vector<4xi32>
  %2 = bqgpu.load %x[%i] fresh : !bqgpu.ptr<f32>, i32 -> f32
  %3 = bqgpu.load %s[%i] : !bqgpu.ptr<i32, shared>, i32 -> vector<2xi32>
  // CHECK: {{^}} bq_store([[P]] + [[L]], [[BYTE]]);
  // CHECK: {{^}} bq_store_shared([[S]] + [[I]], [[WORDS]]);
  bqgpu.store %0, %p[%l] : i32, !bqgpu.ptr<i8>, i64
  bqgpu.store %1, %s[%i] : vector<4xi32>, !bqgpu.ptr<i32, shared>, i32
  // CHECK: {{^}} bq_copy_async([[S]] + [[I]], [[W]] + [[L]], [[BYTE]]);
  // CHECK: {{^}} bq_commit_copies();
  // CHECK: {{^}} bq_wait_copies<3>();
  // CHECK: {{^}} bq_fence();
  // CHECK: int32_t {{.*}} = bq_atomic_add([[W]] + [[I]], 2);
  bqgpu.copy_async %w[%l], %s[%i], %0 : !bqgpu.ptr<i32>, i64, !bqgpu.ptr<i32, shared>
  bqgpu.commit_copies
  bqgpu.wait_copies 3
  bqgpu.fence
  %4 = bqgpu.atomic_add %c2, %w[%i] : !bqgpu.ptr<i32>
  return
}

// CHECK-LABEL: void registers(int32_t v1, float v2)
func.func @registers(%i: i32, %x: f32) attributes {bqgpu.threads = 32 : i32} {
  // CHECK: bq_f32x4 [[C:v[0-9]+]] = bq_pack_f32x4(0.0f, 0.0f, 0.0f, 0.0f);
  // CHECK: bq_i32x4 [[A:v[0-9]+]] = bq_pack_i32x4(v1, v1, v1, v1);
  // CHECK: bq_i32x2 [[B:v[0-9]+]] = bq_pack_i32x2(v1, v1);
  // CHECK: bq_f32x2 {{.*}} = bq_pack_f32x2(v2, v2);
  %c = arith.constant dense<0.0> : vector<4xf32>
  %a = bqgpu.pack %i, %i, %i, %i : vector<4xi32>
  %b = bqgpu.pack %i, %i : vector<2xi32>
  %p = bqgpu.pack %x, %x : vector<2xf32>
  // CHECK: bq_f32x4 [[R:v[0-9]+]] = bq_mma_bf16([[A]], [[B]], [[C]]);
  // CHECK: bq_f32x4 {{.*}} = bq_mma_f16([[A]], [[B]], [[R]]);
  // CHECK: bq_i32x4 {{.*}} = bq_mma_u8s8([[A]], [[B]], [[A]]);
  // CHECK: float {{.*}} = bq_element<3>([[R]]);
  %0 = bqgpu.mma bf16 %a, %b, %c : vector<4xf32>
  %1 = bqgpu.mma f16 %a, %b, %0 : vector<4xf32>
  %2 = bqgpu.mma u8s8 %a, %b, %a : vector<4xi32>
  %3 = bqgpu.element %0[3] : vector<4xf32>
  // CHECK: int32_t {{.*}} = bq_permute_bytes(v1, v1, 20800);
  // CHECK: float {{.*}} = bq_f32_from_bf16(v1);
  // CHECK: int32_t {{.*}} = bq_f16_from_f32(v2);
  // CHECK: int32_t {{.*}} = bq_bf16x2_from_f32(v2, v2);
  %4 = bqgpu.permute_bytes %i, %i, 0x5140
  %5 = bqgpu.extend bf16 %i
  %6 = bqgpu.round f16 %x
  %7 = bqgpu.round_pair %x, %x
  // CHECK: int32_t {{.*}} = bq_add_bf16x2(v1, {{v[0-9]+}});
  // CHECK: int32_t {{.*}} = bq_transpose(v1);
  %8 = bqgpu.add_pair %i, %7
  %9 = bqgpu.transpose %i
  return
}

// A loop stays a loop. What it carries lives in variables, of which the body reads copies, so that values may change
// places.

// CHECK-LABEL: void loops(
// CHECK-SAME:    int32_t [[N:v[0-9]+]], float [[X:v[0-9]+]], float [[Y:v[0-9]+]], float* [[P:v[0-9]+]])
func.func @loops(%n: i32, %x: f32, %y: f32, %p: !bqgpu.ptr<f32>) attributes {bqgpu.threads = 32 : i32} {
  %c0 = arith.constant 0 : i32
  %c1 = arith.constant 1 : i32
  %c4 = arith.constant 4 : i32
  %zero = arith.constant dense<0.0> : vector<2xf32>
  // CHECK-NEXT: bq_f32x2 [[ZERO:v[0-9]+]] = bq_pack_f32x2(0.0f, 0.0f);
  // CHECK-NEXT: float [[A:v[0-9]+]];
  // CHECK-NEXT: float [[B:v[0-9]+]];
  // CHECK-NEXT: bq_f32x2 [[S:v[0-9]+]];
  // CHECK-NEXT: [[A]] = [[X]];
  // CHECK-NEXT: [[B]] = [[Y]];
  // CHECK-NEXT: [[S]] = [[ZERO]];
  // CHECK-NEXT: {{^ *}}#pragma unroll 1{{$}}
  // CHECK-NEXT: for (int32_t [[I:i[0-9]+]] = 0; [[I]] < [[N]]; [[I]] += 1) {
  // CHECK-NEXT:   float [[A0:v[0-9]+]] = [[A]];
  // CHECK-NEXT:   float [[B0:v[0-9]+]] = [[B]];
  // CHECK-NEXT:   bq_f32x2 [[S0:v[0-9]+]] = [[S]];
  %r:3 = scf.for %i = %c0 to %n step %c1 iter_args(%a = %x, %b = %y, %s = %zero) -> (f32, f32, vector<2xf32>) : i32 {
    // CHECK-NEXT: {{^ *}}#pragma unroll 1{{$}}
    // CHECK-NEXT: for (int32_t [[J:j[0-9]+]] = [[I]]; [[J]] < 4; [[J]] += 4) {
    // CHECK-NEXT:   bq_store([[P]] + [[J]], [[A0]]);
    // CHECK-NEXT: }
    scf.for %j = %i to %c4 step %c4 : i32 {
      bqgpu.store %a, %p[%j] : f32, !bqgpu.ptr<f32>, i32
    }
    // CHECK-NEXT: [[A]] = [[B0]];
    // CHECK-NEXT: [[B]] = [[A0]];
    // CHECK-NEXT: [[S]] = [[S0]];
    // CHECK-NEXT: }
    scf.yield %b, %a, %s : f32, f32, vector<2xf32>
  }
  // CHECK-NEXT: float [[B1:v[0-9]+]] = [[B]];
  // CHECK-NEXT: bq_store([[P]] + 0, [[B1]]);
  // CHECK-NEXT: return;
  bqgpu.store %r#1, %p[%c0] : f32, !bqgpu.ptr<f32>, i32
  return
}

// CHECK-LABEL: void branches(
// CHECK-SAME:    bool [[C:v[0-9]+]], bq_i32x4 [[V:v[0-9]+]], bq_i32x4 [[W:v[0-9]+]])
func.func @branches(%c: i1, %v: vector<4xi32>, %w: vector<4xi32>) attributes {bqgpu.threads = 32 : i32} {
  // CHECK-NEXT: bq_i32x4 [[R:v[0-9]+]];
  // CHECK-NEXT: if ([[C]]) {
  // CHECK-NEXT:   bq_barrier();
  // CHECK-NEXT:   [[R]] = [[V]];
  // CHECK-NEXT: } else {
  // CHECK-NEXT:   [[R]] = [[W]];
  // CHECK-NEXT: }
  // CHECK-NEXT: bq_i32x4 [[R0:v[0-9]+]] = [[R]];
  %r = scf.if %c -> vector<4xi32> {
    bqgpu.barrier
    scf.yield %v : vector<4xi32>
  } else {
    scf.yield %w : vector<4xi32>
  }
  // CHECK-NEXT: bq_i32x4 {{.*}} = [[C]] ? [[R0]] : [[V]];
  %s = arith.select %c, %r, %v : vector<4xi32>
  // CHECK-NEXT: if ([[C]]) {
  // CHECK-NEXT:   bq_fence();
  // CHECK-NEXT: }
  scf.if %c {
    bqgpu.fence
  }
  return
}
