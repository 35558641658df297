// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef BQ_DIALECT_GPU_BQGPUOPS_TD
#define BQ_DIALECT_GPU_BQGPUOPS_TD

include "dialect/gpu/BQGPUBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

def BQGPU_ThreadOp : BQGPU_Op<"thread", [Pure]> {
  let summary = "Number of this thread in its block";
  let description = [{
    Blocks have one dimension; lane and warp are its lowest five bits and the rest.

    Example:
    ```mlir
    func.func @thread() -> i32 {
      %t = bqgpu.thread
      return %t : i32
    }
    ```
  }];
  let results = (outs I32:$result);
  let assemblyFormat = "attr-dict";
}

def BQGPU_BlockOp : BQGPU_Op<"block", [Pure]> {
  let summary = "Number of this block of threads in the grid";
  let description = [{
    Example:
    ```mlir
    func.func @block() -> i32 {
      %b = bqgpu.block x
      return %b : i32
    }
    ```
  }];
  let arguments = (ins BQGPU_Dimension:$dimension);
  let results = (outs I32:$result);
  let assemblyFormat = "$dimension attr-dict";
}

def BQGPU_BarrierOp : BQGPU_Op<"barrier"> {
  let summary = "Wait for all threads of the block, and see what they have written";
  let description = [{
    Every thread of the block must come to the same barrier.

    Example:
    ```mlir
    func.func @barrier() {
      bqgpu.barrier
      return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def BQGPU_ShuffleXorOp : BQGPU_Op<"shuffle_xor", [AllTypesMatch<["value", "result"]>]> {
  let summary = "The value that the lane `lane ^ mask` of the warp has";
  let description = [{
    Every lane of the warp takes part.

    Example:
    ```mlir
    func.func @shuffle_xor(%v: f32) -> f32 {
      %r = bqgpu.shuffle_xor %v, 16 : f32
      return %r : f32
    }
    ```
  }];
  let arguments = (ins BQGPU_Element:$value, ConfinedAttr<I32Attr, [IntMinValue<1>, IntMaxValue<31>]>:$mask);
  let results = (outs BQGPU_Element:$result);
  let assemblyFormat = "$value `,` $mask attr-dict `:` type($value)";
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

def BQGPU_SharedOp : BQGPU_Op<"shared"> {
  let summary = "Memory that the threads of a block share";
  let description = [{
    `count` elements, 16-byte aligned, apart from those of every other `bqgpu.shared` of the function; not initialised.

    Constraints:

    - (C1) `result` is a pointer to shared memory.
    - (C2) The op stands in the entry block of a function.

    Example:
    ```mlir
    func.func @shared() {
      %s = bqgpu.shared 256 : !bqgpu.ptr<f32, shared>
      return
    }
    ```
  }];
  let arguments = (ins ConfinedAttr<I64Attr, [IntPositive]>:$count);
  let results = (outs BQGPU_PtrType:$result);
  let assemblyFormat = "$count attr-dict `:` qualified(type($result))";
  let hasVerifier = 1;
}

def BQGPU_AddressOp : BQGPU_Op<"address", [Pure]> {
  let summary = "Where a pointer points, as a number";
  let description = [{
    Bytes, in global memory. What is asked of it is whether wide loads and copies may start there.

    Constraints:

    - (C1) `pointer` is in global memory.

    Example:
    ```mlir
    func.func @address(%p: !bqgpu.ptr<i16>) -> i64 {
      %a = bqgpu.address %p : !bqgpu.ptr<i16>
      return %a : i64
    }
    ```
  }];
  let arguments = (ins BQGPU_PtrType:$pointer);
  let results = (outs I64:$result);
  let assemblyFormat = "$pointer attr-dict `:` qualified(type($pointer))";
  let hasVerifier = 1;
}

def BQGPU_LoadOp : BQGPU_Op<"load"> {
  let summary = "Load a scalar or a fragment";
  let description = [{
    The element at `index`, or two or four in a row, aligned to all of them. 8- and 16-bit elements come extended to i32
    without sign; as a fragment of i32 they come as the memory is, aligned to the fragment. `streamed`: memory that no thread writes while the kernel runs and that is not needed again, so
    that it passes by the caches near the core. `fresh`: memory that other blocks of threads write while the kernel
    runs, so that no cache near the core may answer.

    Constraints:

    - (C1) `result` is made of elements of `pointer`, or for i8 and i16 of i32.
    - (C2) `streamed` and `fresh` are for global memory, exclude each other, and give no fragment of i8 and i16.

    Example:
    ```mlir
    func.func @load(%p: !bqgpu.ptr<i32>, %i: i64) -> vector<4xi32> {
      %v = bqgpu.load %p[%i] streamed : !bqgpu.ptr<i32>, i64 -> vector<4xi32>
      return %v : vector<4xi32>
    }
    ```
  }];
  let arguments = (ins BQGPU_PtrType:$pointer, AnyTypeOf<[I32, I64]>:$index, UnitAttr:$streamed, UnitAttr:$fresh);
  let results = (outs BQGPU_Value:$result);
  let assemblyFormat = [{
    $pointer `[` $index `]` (`streamed` $streamed^)? (`fresh` $fresh^)? attr-dict `:` qualified(type($pointer)) `,`
    type($index) `->` type($result)
  }];
  let hasVerifier = 1;
}

def BQGPU_StoreOp : BQGPU_Op<"store"> {
  let summary = "Store a scalar or a fragment";
  let description = [{
    To the element at `index`, or to as many in a row as the fragment has, aligned to all of them. To 8- and 16-bit
    elements the low bits of an i32; a fragment of i32 makes the memory what it is, aligned to the fragment.

    Constraints:

    - (C1) `value` is made of elements of `pointer`, or for i8 and i16 of i32.

    Example:
    ```mlir
    func.func @store(%v: f32, %p: !bqgpu.ptr<f32, shared>, %i: i32) {
      bqgpu.store %v, %p[%i] : f32, !bqgpu.ptr<f32, shared>, i32
      return
    }
    ```
  }];
  let arguments = (ins BQGPU_Value:$value, BQGPU_PtrType:$pointer, AnyTypeOf<[I32, I64]>:$index);
  let assemblyFormat = [{
    $value `,` $pointer `[` $index `]` attr-dict `:` type($value) `,` qualified(type($pointer)) `,` type($index)
  }];
  let hasVerifier = 1;
}

def BQGPU_CopyAsyncOp : BQGPU_Op<"copy_async"> {
  let summary = "Copy 16 bytes from global to shared memory, later";
  let description = [{
    16 bytes from `source[sourceIndex]` to `target[targetIndex]`, both aligned to 16 bytes. The last bytes from `valid`
    on are zeros, and nothing is read there; `valid` is 0 to 16. The bytes are there after a `bqgpu.wait_copies` that
    covers them, for this thread, and after a barrier behind it for the others. Indices count elements, which may be of
    two types.

    Constraints:

    - (C1) `source` is in global and `target` in shared memory.

    Example:
    ```mlir
    func.func @copy_async(%from: !bqgpu.ptr<i32>, %i: i64, %to: !bqgpu.ptr<i32, shared>, %j: i32, %valid: i32) {
      bqgpu.copy_async %from[%i], %to[%j], %valid : !bqgpu.ptr<i32>, i64, !bqgpu.ptr<i32, shared>
      return
    }
    ```
  }];
  let arguments = (ins BQGPU_PtrType:$source, AnyTypeOf<[I32, I64]>:$sourceIndex, BQGPU_PtrType:$target,
                       I32:$targetIndex, I32:$valid);
  let assemblyFormat = [{
    $source `[` $sourceIndex `]` `,` $target `[` $targetIndex `]` `,` $valid attr-dict `:` qualified(type($source)) `,`
    type($sourceIndex) `,` qualified(type($target))
  }];
  let hasVerifier = 1;
}

def BQGPU_CommitCopiesOp : BQGPU_Op<"commit_copies"> {
  let summary = "Put this thread's copies since the last commit into one group";
  let description = [{
    Example:
    ```mlir
    func.func @commit_copies() {
      bqgpu.commit_copies
      return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def BQGPU_WaitCopiesOp : BQGPU_Op<"wait_copies"> {
  let summary = "Wait until at most `pending` of this thread's groups of copies, the latest, are under way";
  let description = [{
    Example:
    ```mlir
    func.func @wait_copies() {
      bqgpu.wait_copies 2
      return
    }
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative, IntMaxValue<7>]>:$pending);
  let assemblyFormat = "$pending attr-dict";
}

def BQGPU_FenceOp : BQGPU_Op<"fence"> {
  let summary = "What this thread has written to global memory is seen before what it writes after";
  let description = [{
    By every thread of the device.

    Example:
    ```mlir
    func.func @fence() {
      bqgpu.fence
      return
    }
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def BQGPU_AtomicAddOp : BQGPU_Op<"atomic_add"> {
  let summary = "Add to an i32 in global memory at once, and give what was there";
  let description = [{
    Constraints:

    - (C1) `pointer` is to i32 in global memory.

    Example:
    ```mlir
    func.func @atomic_add(%p: !bqgpu.ptr<i32>, %i: i32, %v: i32) -> i32 {
      %old = bqgpu.atomic_add %v, %p[%i] : !bqgpu.ptr<i32>
      return %old : i32
    }
    ```
  }];
  let arguments = (ins I32:$value, BQGPU_PtrType:$pointer, I32:$index);
  let results = (outs I32:$result);
  let assemblyFormat = "$value `,` $pointer `[` $index `]` attr-dict `:` qualified(type($pointer))";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Registers
//===----------------------------------------------------------------------===//

def BQGPU_MmaOp : BQGPU_Op<"mma", [Pure, AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "Matrix product of a warp's fragments";
  let description = [{
    `result = a * b + accumulator` by `mma.sync`, with the fragments that PTX ISA 9.0, section 9.7.14.5 lays out:
    m16n8k16 with f32 sums for `bf16` and `f16`, m16n8k32 with i32 sums for `u8s8` (a is unsigned, b signed). With
    lane = 4 g + t, accumulator elements 0 and 1 are row g, columns 2t and 2t+1; elements 2 and 3 are row g + 8.

    Constraints:

    - (C1) `accumulator` is vector<4xi32> for `u8s8`, else vector<4xf32>.

    Example:
    ```mlir
    func.func @mma(%a: vector<4xi32>, %b: vector<2xi32>, %c: vector<4xf32>) -> vector<4xf32> {
      %r = bqgpu.mma bf16 %a, %b, %c : vector<4xf32>
      return %r : vector<4xf32>
    }
    ```
  }];
  let arguments = (ins BQGPU_MmaKind:$kind, BQGPU_I32x4:$a, BQGPU_I32x2:$b, BQGPU_Sums:$accumulator);
  let results = (outs BQGPU_Sums:$result);
  let assemblyFormat = "$kind $a `,` $b `,` $accumulator attr-dict `:` type($accumulator)";
  let hasVerifier = 1;
}

def BQGPU_TransposeOp : BQGPU_Op<"transpose", [Pure]> {
  let summary = "A warp's matrix of 8x8 elements of 16 bits with rows and columns exchanged";
  let description = [{
    Lane = 4 g + t has elements 2t and 2t + 1 of row g, and gets elements 2t and 2t + 1 of column g (PTX `movmatrix`).
    Every lane of the warp takes part. Registers of the operand A of `bqgpu.mma` are such matrices: of those of a matrix,
    in the order 0, 2, 1, 3, they become the operand A of its transpose.

    Example:
    ```mlir
    func.func @transpose(%v: i32) -> i32 {
      %r = bqgpu.transpose %v
      return %r : i32
    }
    ```
  }];
  let arguments = (ins I32:$matrix);
  let results = (outs I32:$result);
  let assemblyFormat = "$matrix attr-dict";
}

def BQGPU_PackOp : BQGPU_Op<"pack", [Pure]> {
  let summary = "A fragment of its elements";
  let description = [{
    Constraints:

    - (C1) `result` is made of as many `elements` of their type.

    Example:
    ```mlir
    func.func @pack(%x: i32, %y: i32) -> vector<2xi32> {
      %v = bqgpu.pack %x, %y : vector<2xi32>
      return %v : vector<2xi32>
    }
    ```
  }];
  let arguments = (ins Variadic<BQGPU_Element>:$elements);
  let results = (outs BQGPU_Fragment:$result);
  let assemblyFormat = "$elements attr-dict `:` custom<FragmentOfElements>(type($elements), type($result))";
  let hasVerifier = 1;
}

def BQGPU_ElementOp : BQGPU_Op<"element", [
    Pure, TypesMatchWith<"'result' is an element of 'fragment'", "fragment", "result",
                         "::llvm::cast<::mlir::VectorType>($_self).getElementType()">]> {
  let summary = "One element of a fragment";
  let description = [{
    Constraints:

    - (C1) `index` is below the length of `fragment`.

    Example:
    ```mlir
    func.func @element(%v: vector<4xf32>) -> f32 {
      %x = bqgpu.element %v[3] : vector<4xf32>
      return %x : f32
    }
    ```
  }];
  let arguments = (ins BQGPU_Fragment:$fragment, ConfinedAttr<I32Attr, [IntNonNegative]>:$index);
  let results = (outs BQGPU_Element:$result);
  let assemblyFormat = "$fragment `[` $index `]` attr-dict `:` type($fragment)";
  let hasVerifier = 1;
}

def BQGPU_Logic3Op : BQGPU_Op<"logic3", [Pure]> {
  let summary = "A function of three bits, for each bit of three words";
  let description = [{
    Bit 4 a + 2 b + c of `table` is the result for bits a, b and c (PTX `lop3`): 0xea is `(a & b) | c`. One instruction,
    also where two of the operands are constants.

    Example:
    ```mlir
    func.func @logic3(%a: i32, %b: i32, %c: i32) -> i32 {
      %r = bqgpu.logic3 %a, %b, %c, 0xea
      return %r : i32
    }
    ```
  }];
  let arguments = (ins I32:$a, I32:$b, I32:$c, ConfinedAttr<I32Attr, [IntNonNegative, IntMaxValue<255>]>:$table);
  let results = (outs I32:$result);
  let assemblyFormat = "$a `,` $b `,` $c `,` $table attr-dict";
}

def BQGPU_PermuteBytesOp : BQGPU_Op<"permute_bytes", [Pure]> {
  let summary = "Four of the eight bytes of two words";
  let description = [{
    Byte i of the result is the byte of `high:low` that the lowest three bits of nibble i of `selector` number, `low`
    having bytes 0 to 3 (PTX `prmt`).

    Example:
    ```mlir
    func.func @permute_bytes(%l: i32, %h: i32) -> i32 {
      %r = bqgpu.permute_bytes %l, %h, 0x5140
      return %r : i32
    }
    ```
  }];
  let arguments = (ins I32:$low, I32:$high, I32Attr:$selector);
  let results = (outs I32:$result);
  let assemblyFormat = "$low `,` $high `,` $selector attr-dict";
}

def BQGPU_ExtendOp : BQGPU_Op<"extend", [Pure]> {
  let summary = "A 16-bit float, given by its bits, as f32";
  let description = [{
    The lowest 16 bits of the operand count.

    Example:
    ```mlir
    func.func @extend(%bits: i32) -> f32 {
      %x = bqgpu.extend bf16 %bits
      return %x : f32
    }
    ```
  }];
  let arguments = (ins BQGPU_Half:$from, I32:$bits);
  let results = (outs F32:$result);
  let assemblyFormat = "$from $bits attr-dict";
}

def BQGPU_RoundOp : BQGPU_Op<"round", [Pure]> {
  let summary = "An f32 rounded to a 16-bit float, as bits";
  let description = [{
    To nearest, ties to even; NaN stays NaN. The upper half of the result is zero.

    Example:
    ```mlir
    func.func @round(%x: f32) -> i32 {
      %bits = bqgpu.round f16 %x
      return %bits : i32
    }
    ```
  }];
  let arguments = (ins BQGPU_Half:$to, F32:$value);
  let results = (outs I32:$result);
  let assemblyFormat = "$to $value attr-dict";
}

def BQGPU_RoundPairOp : BQGPU_Op<"round_pair", [Pure]> {
  let summary = "Two f32 rounded to bf16, as one word";
  let description = [{
    As `bqgpu.round`; `low` is in the lower half.

    Example:
    ```mlir
    func.func @round_pair(%x: f32, %y: f32) -> i32 {
      %bits = bqgpu.round_pair %x, %y
      return %bits : i32
    }
    ```
  }];
  let arguments = (ins F32:$low, F32:$high);
  let results = (outs I32:$result);
  let assemblyFormat = "$low `,` $high attr-dict";
}

def BQGPU_AddPairOp : BQGPU_Op<"add_pair", [Pure]> {
  let summary = "Sums of two pairs of bf16";
  let description = [{
    Each rounded once, to nearest, ties to even; NaN stays NaN.

    Example:
    ```mlir
    func.func @add_pair(%x: i32, %y: i32) -> i32 {
      %r = bqgpu.add_pair %x, %y
      return %r : i32
    }
    ```
  }];
  let arguments = (ins I32:$a, I32:$b);
  let results = (outs I32:$result);
  let assemblyFormat = "$a `,` $b attr-dict";
}

#endif // BQ_DIALECT_GPU_BQGPUOPS_TD
