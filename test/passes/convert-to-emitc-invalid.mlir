// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-emitc -split-input-file -verify-diagnostics

// expected-error@+1 {{expected a kernel, with a body and the attribute 'bqgpu.threads'}}
func.func @helper(%p: !bqgpu.ptr<f32>) {
  return
}

// -----

// expected-error@+1 {{expected a kernel, with a body and the attribute 'bqgpu.threads'}}
func.func private @elsewhere() attributes {bqgpu.threads = 32 : i32}

// -----

// expected-error@+1 {{expected 'bqgpu.threads' of 1 to 1024, got 2048}}
func.func @crowd() attributes {bqgpu.threads = 2048 : i32} {
  return
}

// -----

// expected-error@+1 {{expected a kernel without results}}
func.func @result(%x: f32) -> f32 attributes {bqgpu.threads = 32 : i32} {
  return %x : f32
}

// -----

func.func @index() attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{'arith.constant' op expected values of type i1, i32, i64, f32, !bqgpu.ptr or a vector of two or four i32 or f32, got 'index'}}
  %c = arith.constant 0 : index
  return
}

// -----

// expected-error@+1 {{or a vector of two or four i32 or f32, got 'f16'}}
func.func @half(%x: f16) attributes {bqgpu.threads = 32 : i32} {
  return
}

// -----

func.func @bfloat(%x: f32) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{or a vector of two or four i32 or f32, got 'bf16'}}
  %y = arith.truncf %x : f32 to bf16
  return
}

// -----

// expected-error@+1 {{or a vector of two or four i32 or f32, got 'memref<4xf32, 3>'}}
func.func @buffer(%m: memref<4xf32, 3>) attributes {bqgpu.threads = 32 : i32} {
  return
}

// -----

// expected-error@+1 {{or a vector of two or four i32 or f32, got 'vector<8xf32>'}}
func.func @wide(%v: vector<8xf32>) attributes {bqgpu.threads = 32 : i32} {
  return
}

// -----

func.func @loop_over_index(%p: !bqgpu.ptr<f32>, %b: i1) attributes {bqgpu.threads = 32 : i32} {
  scf.if %b {
    // expected-error@+1 {{or a vector of two or four i32 or f32, got 'index'}}
    %c = arith.constant 1 : index
    scf.for %i = %c to %c step %c {
    }
  }
  return
}

// -----

func.func @unsigned_loop(%n: i32) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{'scf.for' op expected a loop that compares with sign}}
  scf.for unsigned %i = %n to %n step %n : i32 {
  }
  return
}

// -----

func.func @unknown_function(%x: f32) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{failed to legalize operation 'math.cos'}}
  %y = math.cos %x : f32
  return
}

// -----

func.func @lanes(%v: vector<4xf32>) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{failed to legalize operation 'arith.addf'}}
  %y = arith.addf %v, %v : vector<4xf32>
  return
}

// -----

func.func @sign_of_a_truth_value(%b: i1) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{failed to legalize operation 'arith.extsi'}}
  %y = arith.extsi %b : i1 to i32
  return
}

// -----

func.func @recursive() attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{failed to legalize operation 'func.call'}}
  call @recursive() : () -> ()
  return
}

// -----

func.func @while(%b: i1) attributes {bqgpu.threads = 32 : i32} {
  // expected-error@+1 {{'scf.while' op expected scf.for instead}}
  scf.while : () -> () {
    scf.condition(%b)
  } do {
    scf.yield
  }
  return
}
