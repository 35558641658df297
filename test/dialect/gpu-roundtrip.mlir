// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func private @pointers(!bqgpu.ptr<i8>, !bqgpu.ptr<i16>, !bqgpu.ptr<i32>, !bqgpu.ptr<i64>, !bqgpu.ptr<f32>)
func.func private @pointers(!bqgpu.ptr<i8>, !bqgpu.ptr<i16>, !bqgpu.ptr<i32>, !bqgpu.ptr<i64>, !bqgpu.ptr<f32>)

// CHECK-LABEL: @threads
func.func @threads(%x: f32, %n: i32) {
  // CHECK-NEXT: %{{.*}} = bqgpu.thread
  // CHECK-NEXT: %{{.*}} = bqgpu.block x
  // CHECK-NEXT: %{{.*}} = bqgpu.block y
  // CHECK-NEXT: %{{.*}} = bqgpu.block z
  %t = bqgpu.thread
  %bx = bqgpu.block x
  %by = bqgpu.block y
  %bz = bqgpu.block z
  // CHECK-NEXT: bqgpu.barrier
  bqgpu.barrier
  // CHECK-NEXT: bqgpu.shuffle_xor %{{.*}}, 16 : f32
  // CHECK-NEXT: bqgpu.shuffle_xor %{{.*}}, 1 : i32
  %f = bqgpu.shuffle_xor %x, 16 : f32
  %i = bqgpu.shuffle_xor %n, 1 : i32
  return
}

// CHECK-LABEL: @memory
func.func @memory(%b: !bqgpu.ptr<i8>, %w: !bqgpu.ptr<i32>, %x: !bqgpu.ptr<f32>, %i: i32, %l: i64) {
  // CHECK-NEXT: %[[S:.*]] = bqgpu.shared 256 : !bqgpu.ptr<i32, shared>
  %s = bqgpu.shared 256 : !bqgpu.ptr<i32, shared>
  // CHECK-NEXT: bqgpu.address %{{.*}} : !bqgpu.ptr<i8>
  %a = bqgpu.address %b : !bqgpu.ptr<i8>
  // CHECK-NEXT: bqgpu.load %{{.*}}[%{{.*}}] : !bqgpu.ptr<i8>, i64 -> i32
  // CHECK-NEXT: bqgpu.load %{{.*}}[%{{.*}}] : !bqgpu.ptr<i8>, i64 -> vector<4xi32>
  // CHECK-NEXT: bqgpu.load %{{.*}}[%{{.*}}] streamed : !bqgpu.ptr<i32>, i32 -> vector<4xi32>
  // CHECK-NEXT: bqgpu.load %{{.*}}[%{{.*}}] fresh : !bqgpu.ptr<f32>, i32 -> f32
  // CHECK-NEXT: bqgpu.load %[[S]][%{{.*}}] : !bqgpu.ptr<i32, shared>, i32 -> vector<2xi32>
  %0 = bqgpu.load %b[%l] : !bqgpu.ptr<i8>, i64 -> i32
  %whole = bqgpu.load %b[%l] : !bqgpu.ptr<i8>, i64 -> vector<4xi32>
  %1 = bqgpu.load %w[%i] streamed : !bqgpu.ptr<i32>, i32 -> vector<4xi32>
  %2 = bqgpu.load %x[%i] fresh : !bqgpu.ptr<f32>, i32 -> f32
  %3 = bqgpu.load %s[%i] : !bqgpu.ptr<i32, shared>, i32 -> vector<2xi32>
  // CHECK-NEXT: bqgpu.store %{{.*}}, %{{.*}}[%{{.*}}] : i32, !bqgpu.ptr<i8>, i64
  // CHECK-NEXT: bqgpu.store %{{.*}}, %[[S]][%{{.*}}] : vector<2xi32>, !bqgpu.ptr<i32, shared>, i32
  bqgpu.store %0, %b[%l] : i32, !bqgpu.ptr<i8>, i64
  bqgpu.store %3, %s[%i] : vector<2xi32>, !bqgpu.ptr<i32, shared>, i32
  // CHECK-NEXT: bqgpu.copy_async %{{.*}}[%{{.*}}], %[[S]][%{{.*}}], %{{.*}} : !bqgpu.ptr<i32>, i64, !bqgpu.ptr<i32, shared>
  // CHECK-NEXT: bqgpu.copy_async %{{.*}}[%{{.*}}], %[[S]][%{{.*}}], %{{.*}} : !bqgpu.ptr<i8>, i64, !bqgpu.ptr<i32, shared>
  // CHECK-NEXT: bqgpu.commit_copies
  // CHECK-NEXT: bqgpu.wait_copies 7
  bqgpu.copy_async %w[%l], %s[%i], %0 : !bqgpu.ptr<i32>, i64, !bqgpu.ptr<i32, shared>
  bqgpu.copy_async %b[%l], %s[%i], %0 : !bqgpu.ptr<i8>, i64, !bqgpu.ptr<i32, shared>
  bqgpu.commit_copies
  bqgpu.wait_copies 7
  // CHECK-NEXT: bqgpu.fence
  // CHECK-NEXT: bqgpu.atomic_add %{{.*}}, %{{.*}}[%{{.*}}] : !bqgpu.ptr<i32>
  bqgpu.fence
  %4 = bqgpu.atomic_add %0, %w[%i] : !bqgpu.ptr<i32>
  return
}

// CHECK-LABEL: @registers
func.func @registers(%i: i32, %x: f32) {
  // CHECK-NEXT: %[[A:.*]] = bqgpu.pack %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : vector<4xi32>
  // CHECK-NEXT: %[[B:.*]] = bqgpu.pack %{{.*}}, %{{.*}} : vector<2xi32>
  // CHECK-NEXT: %[[C:.*]] = bqgpu.pack %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : vector<4xf32>
  %a = bqgpu.pack %i, %i, %i, %i : vector<4xi32>
  %b = bqgpu.pack %i, %i : vector<2xi32>
  %c = bqgpu.pack %x, %x, %x, %x : vector<4xf32>
  // CHECK-NEXT: bqgpu.mma bf16 %[[A]], %[[B]], %[[C]] : vector<4xf32>
  // CHECK-NEXT: bqgpu.mma f16 %[[A]], %[[B]], %[[C]] : vector<4xf32>
  // CHECK-NEXT: bqgpu.mma u8s8 %[[A]], %[[B]], %[[A]] : vector<4xi32>
  %0 = bqgpu.mma bf16 %a, %b, %c : vector<4xf32>
  %1 = bqgpu.mma f16 %a, %b, %c : vector<4xf32>
  %2 = bqgpu.mma u8s8 %a, %b, %a : vector<4xi32>
  // CHECK-NEXT: bqgpu.element %[[C]][3] : vector<4xf32>
  // CHECK-NEXT: bqgpu.permute_bytes %{{.*}}, %{{.*}}, 20800
  %3 = bqgpu.element %c[3] : vector<4xf32>
  %4 = bqgpu.permute_bytes %i, %i, 0x5140
  // CHECK-NEXT: bqgpu.extend bf16 %{{.*}}
  // CHECK-NEXT: bqgpu.extend f16 %{{.*}}
  // CHECK-NEXT: bqgpu.round bf16 %{{.*}}
  // CHECK-NEXT: bqgpu.round f16 %{{.*}}
  // CHECK-NEXT: bqgpu.round_pair %{{.*}}, %{{.*}}
  %5 = bqgpu.extend bf16 %i
  %6 = bqgpu.extend f16 %i
  %7 = bqgpu.round bf16 %x
  %8 = bqgpu.round f16 %x
  %9 = bqgpu.round_pair %x, %x
  // CHECK-NEXT: bqgpu.add_pair %{{.*}}, %{{.*}}
  // CHECK-NEXT: bqgpu.transpose %{{.*}}
  %10 = bqgpu.add_pair %i, %9
  %11 = bqgpu.transpose %i
  return
}
