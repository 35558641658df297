// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: bq-opt %s -bq-convert-to-emitc -mlir-print-op-generic | %to-cpp > %t.h
// RUN: %cxx -std=c++17 -O1 -Wall -Werror -Wno-unknown-pragmas -fsanitize=undefined -fno-sanitize-recover=all -I%bq_src \
// RUN:   -include runtime/emu/EmuPrelude.h -include %t.h %S/Inputs/run_scalars.cpp -o %t.exe
// RUN: %t.exe | FileCheck %s

// The arithmetic of the C++ is that of the IR, and none of it is undefined: integers wrap, comparisons and divisions
// take the sign that the op says, NaN is unordered, of a truth value one bit counts.

// Sum, difference, product, quotients and remainders without and with sign, minima and maxima of both kinds, and, or,
// exclusive or, ult, slt, uge, eq, the lowest bit, a + (-2147483648).
// CHECK:      integers(2147483647, 1) -2147483648 2147483646 2147483647 2147483647 2147483647 0 0 1 1 2147483647 2147483647 1 2147483647 2147483646 0 0 1 0 1 -1
// CHECK-NEXT: integers(-2147483648, 3) -2147483645 2147483645 -2147483648 715827882 -715827882 2 -2 -2147483648 3 3 -2147483648 0 -2147483645 -2147483645 0 1 1 0 0 0
// CHECK-NEXT: integers(-7, 65537) 65530 -65544 -458759 65534 0 65531 -7 -7 65537 65537 -7 65537 -7 -65544 0 1 1 0 1 2147483641
// CHECK-NEXT: integers(6, -1) 5 7 -6 0 -6 6 0 -1 6 6 -1 6 -1 -7 1 0 0 0 0 -2147483642
func.func @integers(%a: i32, %b: i32, %out: !bqgpu.ptr<i32>) attributes {bqgpu.threads = 32 : i32} {
  %min = arith.constant -2147483648 : i32
  %add = arith.addi %a, %b : i32
  %sub = arith.subi %a, %b : i32
  %mul = arith.muli %a, %b : i32
  %divui = arith.divui %a, %b : i32
  %divsi = arith.divsi %a, %b : i32
  %remui = arith.remui %a, %b : i32
  %remsi = arith.remsi %a, %b : i32
  %minsi = arith.minsi %a, %b : i32
  %minui = arith.minui %a, %b : i32
  %maxsi = arith.maxsi %a, %b : i32
  %maxui = arith.maxui %a, %b : i32
  %and = arith.andi %a, %b : i32
  %or = arith.ori %a, %b : i32
  %xor = arith.xori %a, %b : i32
  %ult_ = arith.cmpi ult, %a, %b : i32
  %ult = arith.extui %ult_ : i1 to i32
  %slt_ = arith.cmpi slt, %a, %b : i32
  %slt = arith.extui %slt_ : i1 to i32
  %uge_ = arith.cmpi uge, %a, %b : i32
  %uge = arith.extui %uge_ : i1 to i32
  %eq_ = arith.cmpi eq, %a, %b : i32
  %eq = arith.extui %eq_ : i1 to i32
  %odd_ = arith.trunci %a : i32 to i1
  %odd = arith.extui %odd_ : i1 to i32
  %low = arith.addi %a, %min : i32
  %c0 = arith.constant 0 : i32
  bqgpu.store %add, %out[%c0] : i32, !bqgpu.ptr<i32>, i32
  %c1 = arith.constant 1 : i32
  bqgpu.store %sub, %out[%c1] : i32, !bqgpu.ptr<i32>, i32
  %c2 = arith.constant 2 : i32
  bqgpu.store %mul, %out[%c2] : i32, !bqgpu.ptr<i32>, i32
  %c3 = arith.constant 3 : i32
  bqgpu.store %divui, %out[%c3] : i32, !bqgpu.ptr<i32>, i32
  %c4 = arith.constant 4 : i32
  bqgpu.store %divsi, %out[%c4] : i32, !bqgpu.ptr<i32>, i32
  %c5 = arith.constant 5 : i32
  bqgpu.store %remui, %out[%c5] : i32, !bqgpu.ptr<i32>, i32
  %c6 = arith.constant 6 : i32
  bqgpu.store %remsi, %out[%c6] : i32, !bqgpu.ptr<i32>, i32
  %c7 = arith.constant 7 : i32
  bqgpu.store %minsi, %out[%c7] : i32, !bqgpu.ptr<i32>, i32
  %c8 = arith.constant 8 : i32
  bqgpu.store %minui, %out[%c8] : i32, !bqgpu.ptr<i32>, i32
  %c9 = arith.constant 9 : i32
  bqgpu.store %maxsi, %out[%c9] : i32, !bqgpu.ptr<i32>, i32
  %c10 = arith.constant 10 : i32
  bqgpu.store %maxui, %out[%c10] : i32, !bqgpu.ptr<i32>, i32
  %c11 = arith.constant 11 : i32
  bqgpu.store %and, %out[%c11] : i32, !bqgpu.ptr<i32>, i32
  %c12 = arith.constant 12 : i32
  bqgpu.store %or, %out[%c12] : i32, !bqgpu.ptr<i32>, i32
  %c13 = arith.constant 13 : i32
  bqgpu.store %xor, %out[%c13] : i32, !bqgpu.ptr<i32>, i32
  %c14 = arith.constant 14 : i32
  bqgpu.store %ult, %out[%c14] : i32, !bqgpu.ptr<i32>, i32
  %c15 = arith.constant 15 : i32
  bqgpu.store %slt, %out[%c15] : i32, !bqgpu.ptr<i32>, i32
  %c16 = arith.constant 16 : i32
  bqgpu.store %uge, %out[%c16] : i32, !bqgpu.ptr<i32>, i32
  %c17 = arith.constant 17 : i32
  bqgpu.store %eq, %out[%c17] : i32, !bqgpu.ptr<i32>, i32
  %c18 = arith.constant 18 : i32
  bqgpu.store %odd, %out[%c18] : i32, !bqgpu.ptr<i32>, i32
  %c19 = arith.constant 19 : i32
  bqgpu.store %low, %out[%c19] : i32, !bqgpu.ptr<i32>, i32
  return
}

// CHECK-NEXT: shifts(-256, 4) -4096 268435440 -16
// CHECK-NEXT: shifts(-1, 31) -2147483648 1 -1
func.func @shifts(%a: i32, %by: i32, %out: !bqgpu.ptr<i32>) attributes {bqgpu.threads = 32 : i32} {
  %left = arith.shli %a, %by : i32
  %logical = arith.shrui %a, %by : i32
  %arithmetic = arith.shrsi %a, %by : i32
  %c0 = arith.constant 0 : i32
  bqgpu.store %left, %out[%c0] : i32, !bqgpu.ptr<i32>, i32
  %c1 = arith.constant 1 : i32
  bqgpu.store %logical, %out[%c1] : i32, !bqgpu.ptr<i32>, i32
  %c2 = arith.constant 2 : i32
  bqgpu.store %arithmetic, %out[%c2] : i32, !bqgpu.ptr<i32>, i32
  return
}

// i32 to i64 without and with sign, l + (-5), the lower half of l, l >> 60 logical, l * (-9223372036854775808), the
// lesser without sign.
// CHECK-NEXT: wide(-1, 4) 4294967295 -1 -1 4 0 0 4
// CHECK-NEXT: wide(7, 9223372036854775807) 7 7 9223372036854775802 -1 7 -9223372036854775808 9223372036854775807
func.func @wide(%a: i32, %l: i64, %out: !bqgpu.ptr<i64>) attributes {bqgpu.threads = 32 : i32} {
  %m5 = arith.constant -5 : i64
  %c60 = arith.constant 60 : i64
  %min = arith.constant -9223372036854775808 : i64
  %unsigned = arith.extui %a : i32 to i64
  %signed = arith.extsi %a : i32 to i64
  %less = arith.addi %l, %m5 : i64
  %half = arith.trunci %l : i64 to i32
  %lower = arith.extsi %half : i32 to i64
  %high = arith.shrui %l, %c60 : i64
  %product = arith.muli %l, %min : i64
  %minui = arith.minui %l, %min : i64
  %c0 = arith.constant 0 : i32
  bqgpu.store %unsigned, %out[%c0] : i64, !bqgpu.ptr<i64>, i32
  %c1 = arith.constant 1 : i32
  bqgpu.store %signed, %out[%c1] : i64, !bqgpu.ptr<i64>, i32
  %c2 = arith.constant 2 : i32
  bqgpu.store %less, %out[%c2] : i64, !bqgpu.ptr<i64>, i32
  %c3 = arith.constant 3 : i32
  bqgpu.store %lower, %out[%c3] : i64, !bqgpu.ptr<i64>, i32
  %c4 = arith.constant 4 : i32
  bqgpu.store %high, %out[%c4] : i64, !bqgpu.ptr<i64>, i32
  %c5 = arith.constant 5 : i32
  bqgpu.store %product, %out[%c5] : i64, !bqgpu.ptr<i64>, i32
  %c6 = arith.constant 6 : i32
  bqgpu.store %minui, %out[%c6] : i64, !bqgpu.ptr<i64>, i32
  return
}

// oeq ogt oge olt ole one ord ueq ugt uge ult ule une uno
// CHECK-NEXT: compare(1, 2) 00011110001110
// CHECK-NEXT: compare(2, 1) 01100110110010
// CHECK-NEXT: compare(1, 1) 10101011010100
// CHECK-NEXT: compare(1, nan) 00000001111111
func.func @compare(%x: f32, %y: f32, %out: !bqgpu.ptr<i32>) attributes {bqgpu.threads = 32 : i32} {
  %oeq = arith.cmpf oeq, %x, %y : f32
  %oeq_i = arith.extui %oeq : i1 to i32
  %c0 = arith.constant 0 : i32
  bqgpu.store %oeq_i, %out[%c0] : i32, !bqgpu.ptr<i32>, i32
  %ogt = arith.cmpf ogt, %x, %y : f32
  %ogt_i = arith.extui %ogt : i1 to i32
  %c1 = arith.constant 1 : i32
  bqgpu.store %ogt_i, %out[%c1] : i32, !bqgpu.ptr<i32>, i32
  %oge = arith.cmpf oge, %x, %y : f32
  %oge_i = arith.extui %oge : i1 to i32
  %c2 = arith.constant 2 : i32
  bqgpu.store %oge_i, %out[%c2] : i32, !bqgpu.ptr<i32>, i32
  %olt = arith.cmpf olt, %x, %y : f32
  %olt_i = arith.extui %olt : i1 to i32
  %c3 = arith.constant 3 : i32
  bqgpu.store %olt_i, %out[%c3] : i32, !bqgpu.ptr<i32>, i32
  %ole = arith.cmpf ole, %x, %y : f32
  %ole_i = arith.extui %ole : i1 to i32
  %c4 = arith.constant 4 : i32
  bqgpu.store %ole_i, %out[%c4] : i32, !bqgpu.ptr<i32>, i32
  %one = arith.cmpf one, %x, %y : f32
  %one_i = arith.extui %one : i1 to i32
  %c5 = arith.constant 5 : i32
  bqgpu.store %one_i, %out[%c5] : i32, !bqgpu.ptr<i32>, i32
  %ord = arith.cmpf ord, %x, %y : f32
  %ord_i = arith.extui %ord : i1 to i32
  %c6 = arith.constant 6 : i32
  bqgpu.store %ord_i, %out[%c6] : i32, !bqgpu.ptr<i32>, i32
  %ueq = arith.cmpf ueq, %x, %y : f32
  %ueq_i = arith.extui %ueq : i1 to i32
  %c7 = arith.constant 7 : i32
  bqgpu.store %ueq_i, %out[%c7] : i32, !bqgpu.ptr<i32>, i32
  %ugt = arith.cmpf ugt, %x, %y : f32
  %ugt_i = arith.extui %ugt : i1 to i32
  %c8 = arith.constant 8 : i32
  bqgpu.store %ugt_i, %out[%c8] : i32, !bqgpu.ptr<i32>, i32
  %uge = arith.cmpf uge, %x, %y : f32
  %uge_i = arith.extui %uge : i1 to i32
  %c9 = arith.constant 9 : i32
  bqgpu.store %uge_i, %out[%c9] : i32, !bqgpu.ptr<i32>, i32
  %ult = arith.cmpf ult, %x, %y : f32
  %ult_i = arith.extui %ult : i1 to i32
  %c10 = arith.constant 10 : i32
  bqgpu.store %ult_i, %out[%c10] : i32, !bqgpu.ptr<i32>, i32
  %ule = arith.cmpf ule, %x, %y : f32
  %ule_i = arith.extui %ule : i1 to i32
  %c11 = arith.constant 11 : i32
  bqgpu.store %ule_i, %out[%c11] : i32, !bqgpu.ptr<i32>, i32
  %une = arith.cmpf une, %x, %y : f32
  %une_i = arith.extui %une : i1 to i32
  %c12 = arith.constant 12 : i32
  bqgpu.store %une_i, %out[%c12] : i32, !bqgpu.ptr<i32>, i32
  %uno = arith.cmpf uno, %x, %y : f32
  %uno_i = arith.extui %uno : i1 to i32
  %c13 = arith.constant 13 : i32
  bqgpu.store %uno_i, %out[%c13] : i32, !bqgpu.ptr<i32>, i32
  return
}

// Every bit of a constant counts.
// CHECK-NEXT: constants 7fc01234 ff800000 80000000 00000001 3dcccccd 7f7fffff bfc00000 4b800001
func.func @floatConstants(%out: !bqgpu.ptr<f32>) attributes {bqgpu.threads = 32 : i32} {
  %f0 = arith.constant 0x7FC01234 : f32
  %c0 = arith.constant 0 : i32
  bqgpu.store %f0, %out[%c0] : f32, !bqgpu.ptr<f32>, i32
  %f1 = arith.constant 0xFF800000 : f32
  %c1 = arith.constant 1 : i32
  bqgpu.store %f1, %out[%c1] : f32, !bqgpu.ptr<f32>, i32
  %f2 = arith.constant 0x80000000 : f32
  %c2 = arith.constant 2 : i32
  bqgpu.store %f2, %out[%c2] : f32, !bqgpu.ptr<f32>, i32
  %f3 = arith.constant 0x00000001 : f32
  %c3 = arith.constant 3 : i32
  bqgpu.store %f3, %out[%c3] : f32, !bqgpu.ptr<f32>, i32
  %f4 = arith.constant 0x3DCCCCCD : f32
  %c4 = arith.constant 4 : i32
  bqgpu.store %f4, %out[%c4] : f32, !bqgpu.ptr<f32>, i32
  %f5 = arith.constant 0x7F7FFFFF : f32
  %c5 = arith.constant 5 : i32
  bqgpu.store %f5, %out[%c5] : f32, !bqgpu.ptr<f32>, i32
  %f6 = arith.constant 0xBFC00000 : f32
  %c6 = arith.constant 6 : i32
  bqgpu.store %f6, %out[%c6] : f32, !bqgpu.ptr<f32>, i32
  %f7 = arith.constant 0x4B800001 : f32
  %c7 = arith.constant 7 : i32
  bqgpu.store %f7, %out[%c7] : f32, !bqgpu.ptr<f32>, i32
  return
}

// i to float with and without sign, x to i32 and back, big to unsigned and back, -x.
// CHECK-NEXT: casts -1 4.2949673e+09 -2 3e+09 2.75
func.func @floatCasts(%i: i32, %x: f32, %big: f32, %out: !bqgpu.ptr<f32>) attributes {bqgpu.threads = 32 : i32} {
  %signed = arith.sitofp %i : i32 to f32
  %unsigned = arith.uitofp %i : i32 to f32
  %whole = arith.fptosi %x : f32 to i32
  %towardsZero = arith.sitofp %whole : i32 to f32
  %large = arith.fptoui %big : f32 to i32
  %same = arith.uitofp %large : i32 to f32
  %negated = arith.negf %x : f32
  %c0 = arith.constant 0 : i32
  bqgpu.store %signed, %out[%c0] : f32, !bqgpu.ptr<f32>, i32
  %c1 = arith.constant 1 : i32
  bqgpu.store %unsigned, %out[%c1] : f32, !bqgpu.ptr<f32>, i32
  %c2 = arith.constant 2 : i32
  bqgpu.store %towardsZero, %out[%c2] : f32, !bqgpu.ptr<f32>, i32
  %c3 = arith.constant 3 : i32
  bqgpu.store %same, %out[%c3] : f32, !bqgpu.ptr<f32>, i32
  %c4 = arith.constant 4 : i32
  bqgpu.store %negated, %out[%c4] : f32, !bqgpu.ptr<f32>, i32
  return
}
