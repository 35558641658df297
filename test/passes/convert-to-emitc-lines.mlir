// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-emitc -mlir-print-op-generic | %to-cpp | FileCheck %s
// RUN: bq-opt %s -bq-convert-to-emitc -mlir-print-op-generic | %to-cpp > %t.cpp
// RUN: not %cxx -std=c++17 -fsyntax-only -include cstdint '-D__global__=' '-D__launch_bounds__(...)=' %t.cpp 2>&1 \
// RUN:   | FileCheck %s --check-prefix=ERROR

// A statement tells its op's line where the compiler would count another one. Between a pragma and its loop stands
// nothing, so there the line is told ahead of the pragma, less one.

#a = loc("somewhere.mlir":10:3)
#b = loc("somewhere.mlir":11:3)
#c = loc("somewhere.mlir":20:3)

// CHECK:      void lines(
// CHECK-NEXT: {{^}} #line 10 "kernel.mlir"
// CHECK-NEXT: {{^}} bq_barrier();
// CHECK-NEXT: {{^}} bq_fence();
// CHECK-NEXT: {{^}} #line 20 "kernel.mlir"
// CHECK-NEXT: {{^}} bq_commit_copies();
// CHECK-NEXT: {{^}} bq_wait_copies<0>();
// CHECK-NEXT: {{^}} #line 9 "kernel.mlir"
// CHECK-NEXT: {{^}} #pragma unroll 1
// CHECK-NEXT: {{^}} for (
// CHECK-NEXT: {{^}}   int32_t {{.*}} = bq_thread();
// CHECK-NEXT: {{^}}   #line 20 "kernel.mlir"
// CHECK-NEXT: {{^}}   bq_barrier();
// CHECK-NEXT: {{^}} }
// CHECK-NEXT: {{^}} bq_fence();
// CHECK-NEXT: {{^}} #line 10 "kernel.mlir"
// CHECK-NEXT: {{^}} return;
// CHECK-NEXT: }
func.func @lines(%n: i32) attributes {bqgpu.threads = 32 : i32} {
  bqgpu.barrier loc(#a)
  bqgpu.fence loc(#b)
  // Two statements of one line: the second is not told.
  bqgpu.commit_copies loc(#c)
  bqgpu.wait_copies 0 loc(#c)
  scf.for %i = %n to %n step %n : i32 {
    %t = bqgpu.thread loc(fused[unknown, #b])
    bqgpu.barrier loc(#c)
  } loc(#a)
  bqgpu.fence loc(unknown)
  return loc(#a)
}

// ERROR: kernel.mlir:10:{{[0-9]+}}: error: {{.*}}bq_barrier
// ERROR: kernel.mlir:11:{{[0-9]+}}: error: {{.*}}bq_fence
// ERROR: kernel.mlir:20:{{[0-9]+}}: error: {{.*}}bq_commit_copies
// ERROR: kernel.mlir:11:{{[0-9]+}}: error: {{.*}}bq_thread
