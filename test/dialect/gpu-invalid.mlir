// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{expected elements of type i8, i16, i32, i64 or f32, got 'f16'}}
func.func private @ptr_f16(!bqgpu.ptr<f16>)

// -----

// expected-error@+1 {{expected elements of type i8, i16, i32, i64 or f32, got 'vector<4xi32>'}}
func.func private @ptr_vector(!bqgpu.ptr<vector<4xi32>>)

// -----

// expected-error@+1 {{expected 'shared'}}
func.func private @ptr_space(!bqgpu.ptr<f32, local>)

// -----

func.func @shuffle_mask(%v: i32) {
  // expected-error@+1 {{attribute 'mask' failed to satisfy constraint: 32-bit signless integer attribute whose minimum value is 1 whose maximum value is 31}}
  %r = bqgpu.shuffle_xor %v, 32 : i32
  return
}

// -----

func.func @shared_c1_global() {
  // expected-error@+1 {{expected 'result' in shared memory, got '!bqgpu.ptr<f32>'}}
  %s = bqgpu.shared 16 : !bqgpu.ptr<f32>
  return
}

// -----

func.func @shared_c2_nested(%c: i1) {
  scf.if %c {
    // expected-error@+1 {{expected to stand in the entry block of a function}}
    %s = bqgpu.shared 16 : !bqgpu.ptr<f32, shared>
  }
  return
}

// -----

func.func @shared_count() {
  // expected-error@+1 {{attribute 'count' failed to satisfy constraint: 64-bit signless integer attribute whose value is positive}}
  %s = bqgpu.shared 0 : !bqgpu.ptr<f32, shared>
  return
}

// -----

func.func @load_c1_element(%p: !bqgpu.ptr<f32>, %i: i32) {
  // expected-error@+1 {{expected 'result' made of 'f32' for elements of '!bqgpu.ptr<f32>', got 'i32'}}
  %v = bqgpu.load %p[%i] : !bqgpu.ptr<f32>, i32 -> i32
  return
}

// -----

func.func @load_c1_narrow(%p: !bqgpu.ptr<i8>, %i: i32) {
  // expected-error@+1 {{expected 'result' of type i32 for elements of '!bqgpu.ptr<i8>', got 'f32'}}
  %v = bqgpu.load %p[%i] : !bqgpu.ptr<i8>, i32 -> f32
  return
}

// -----

func.func @load_c1_fragment(%p: !bqgpu.ptr<i16>, %i: i32) {
  // expected-error@+1 {{expected 'result' made of i32 for elements of '!bqgpu.ptr<i16>', got 'vector<4xf32>'}}
  %v = bqgpu.load %p[%i] : !bqgpu.ptr<i16>, i32 -> vector<4xf32>
  return
}

// -----

func.func @load_c2_shared(%p: !bqgpu.ptr<f32, shared>, %i: i32) {
  // expected-error@+1 {{expected 'pointer' in global memory for 'streamed' and 'fresh', got '!bqgpu.ptr<f32, shared>'}}
  %v = bqgpu.load %p[%i] streamed : !bqgpu.ptr<f32, shared>, i32 -> f32
  return
}

// -----

func.func @load_c2_both(%p: !bqgpu.ptr<f32>, %i: i32) {
  // expected-error@+1 {{expected 'streamed' or 'fresh', got both}}
  %v = bqgpu.load %p[%i] streamed fresh : !bqgpu.ptr<f32>, i32 -> f32
  return
}

// -----

func.func @load_c2_fragment(%p: !bqgpu.ptr<i8>, %i: i32) {
  // expected-error@+1 {{of type i32 for 'streamed' and 'fresh' elements of '!bqgpu.ptr<i8>', got 'vector<4xi32>'}}
  %v = bqgpu.load %p[%i] streamed : !bqgpu.ptr<i8>, i32 -> vector<4xi32>
  return
}

// -----

func.func @store_c1_element(%v: vector<2xi32>, %p: !bqgpu.ptr<i64>, %i: i32) {
  // expected-error@+1 {{expected 'value' made of 'i64' for elements of '!bqgpu.ptr<i64>', got 'vector<2xi32>'}}
  bqgpu.store %v, %p[%i] : vector<2xi32>, !bqgpu.ptr<i64>, i32
  return
}

// -----

func.func @store_whole_bytes(%v: vector<2xf32>, %p: !bqgpu.ptr<i8>, %i: i32) {
  // expected-error@+1 {{expected 'value' made of i32 for elements of '!bqgpu.ptr<i8>', got 'vector<2xf32>'}}
  bqgpu.store %v, %p[%i] : vector<2xf32>, !bqgpu.ptr<i8>, i32
  return
}

// -----

func.func @copy_async_c1_target(%p: !bqgpu.ptr<i32>, %i: i32) {
  // expected-error@+1 {{expected 'source' in global and 'target' in shared memory, got '!bqgpu.ptr<i32>' and '!bqgpu.ptr<i32>'}}
  bqgpu.copy_async %p[%i], %p[%i], %i : !bqgpu.ptr<i32>, i32, !bqgpu.ptr<i32>
  return
}

// -----

func.func @address_c1_shared(%s: !bqgpu.ptr<i16, shared>) {
  // expected-error@+1 {{expected 'pointer' in global memory, got '!bqgpu.ptr<i16, shared>'}}
  %a = bqgpu.address %s : !bqgpu.ptr<i16, shared>
  return
}

// -----

func.func @wait_copies_pending() {
  // expected-error@+1 {{attribute 'pending' failed to satisfy constraint: 32-bit signless integer attribute whose value is non-negative whose maximum value is 7}}
  bqgpu.wait_copies 8
  return
}

// -----

func.func @atomic_add_c1_element(%p: !bqgpu.ptr<i64>, %i: i32) {
  // expected-error@+1 {{expected 'pointer' to i32 in global memory, got '!bqgpu.ptr<i64>'}}
  %r = bqgpu.atomic_add %i, %p[%i] : !bqgpu.ptr<i64>
  return
}

// -----

func.func @atomic_add_c1_shared(%p: !bqgpu.ptr<i32, shared>, %i: i32) {
  // expected-error@+1 {{expected 'pointer' to i32 in global memory, got '!bqgpu.ptr<i32, shared>'}}
  %r = bqgpu.atomic_add %i, %p[%i] : !bqgpu.ptr<i32, shared>
  return
}

// -----

func.func @mma_c1_float(%a: vector<4xi32>, %b: vector<2xi32>) {
  // expected-error@+1 {{expected 'accumulator' made of f32 for bf16, got 'vector<4xi32>'}}
  %r = bqgpu.mma bf16 %a, %b, %a : vector<4xi32>
  return
}

// -----

func.func @mma_c1_int(%a: vector<4xi32>, %b: vector<2xi32>, %c: vector<4xf32>) {
  // expected-error@+1 {{expected 'accumulator' made of i32 for u8s8, got 'vector<4xf32>'}}
  %r = bqgpu.mma u8s8 %a, %b, %c : vector<4xf32>
  return
}

// -----

func.func @pack_count(%x: i32) {
  // expected-error@+1 {{number of operands and types do not match: got 3 operands and 4 types}}
  %r = bqgpu.pack %x, %x, %x : vector<4xi32>
  return
}

// -----

func.func @pack_c1_count(%x: i32) {
  // expected-error@+1 {{expected 4 'elements' of type 'i32', got 'i32', 'i32'}}
  %r = "bqgpu.pack"(%x, %x) : (i32, i32) -> vector<4xi32>
  return
}

// -----

func.func @pack_c1_element(%x: f32) {
  // expected-error@+1 {{expected 2 'elements' of type 'i32', got 'f32', 'f32'}}
  %r = "bqgpu.pack"(%x, %x) : (f32, f32) -> vector<2xi32>
  return
}

// -----

func.func @pack_scalar(%x: i32) {
  // expected-error@+1 {{expected a vector, got 'i32'}}
  %r = bqgpu.pack %x : i32
  return
}

// -----

func.func @element_c1_index(%v: vector<2xf32>) {
  // expected-error@+1 {{expected 'index' below 2, got 2}}
  %r = bqgpu.element %v[2] : vector<2xf32>
  return
}
