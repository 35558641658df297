// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The bqgpu dialect itself, its pointer type, and the constraints its ops share.
#ifndef BQ_DIALECT_GPU_BQGPUBASE_TD
#define BQ_DIALECT_GPU_BQGPUBASE_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"

def BQGPU_Dialect : Dialect {
  let name = "bqgpu";
  let cppNamespace = "::bq::gpu";
  let summary = "What a kernel needs of a GPU: threads, shared memory, copies, fragments and tensor instructions";
  let description = [{
    The tile level of kernels for NVIDIA GPUs, beside `arith`, `math` and `scf`. A function is what one thread does.
    Values are scalars (i1, i32, i64, f32), and vectors of two or four of 32 bits, the fragments of tensor instructions.
    8- and 16-bit elements exist in memory only: a load extends them to i32 without sign, a store truncates. 16-bit
    floats are loaded as their bits and extended by `bqgpu.extend`. Every op here is one call of the prelude in the
    CUDA C++ that `--bq-convert-to-emitc` makes.
  }];
  let useDefaultTypePrinterParser = 1;
}

class BQGPU_Op<string mnemonic, list<Trait> traits = []> : Op<BQGPU_Dialect, mnemonic, traits>;

def BQGPU_PtrType : TypeDef<BQGPU_Dialect, "Ptr"> {
  let mnemonic = "ptr";
  let summary = "A pointer to elements of one type, in global or shared memory";
  let description = [{
    Example:
    ```mlir
    func.func private @kernel(!bqgpu.ptr<i8>, !bqgpu.ptr<f32, shared>)
    ```
  }];
  let parameters = (ins TypeParameter<"::mlir::Type", "i8, i16, i32, i64 or f32">:$element,
                        TypeParameter<"bool", "in the memory that a block of threads shares">:$shared);
  let builders = [
    TypeBuilderWithInferredContext<(ins "::mlir::Type":$element, CArg<"bool", "false">:$shared), [{
      return $_get(element.getContext(), element, shared);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}

/// A register's worth of something: what loads, stores and shuffles move.
def BQGPU_Scalar : AnyTypeOf<[I32, I64, F32]>;
def BQGPU_Element : AnyTypeOf<[I32, F32]>;
def BQGPU_I32x2 : FixedVectorOfShapeAndType<[2], I32>;
def BQGPU_I32x4 : FixedVectorOfShapeAndType<[4], I32>;
def BQGPU_F32x2 : FixedVectorOfShapeAndType<[2], F32>;
def BQGPU_F32x4 : FixedVectorOfShapeAndType<[4], F32>;
def BQGPU_Sums : AnyTypeOf<[BQGPU_I32x4, BQGPU_F32x4], "", "::mlir::VectorType">;
def BQGPU_Fragment : AnyTypeOf<[BQGPU_I32x2, BQGPU_I32x4, BQGPU_F32x2, BQGPU_F32x4], "", "::mlir::VectorType">;
def BQGPU_Value : AnyTypeOf<[BQGPU_Scalar, BQGPU_Fragment]>;

class BQGPU_I32Enum<string name, string description, list<I32EnumAttrCase> cases>
    : I32EnumAttr<name, description, cases> {
  let cppNamespace = "::bq::gpu";
}

def BQGPU_Dimension : BQGPU_I32Enum<"Dimension", "dimension of the grid", [
  I32EnumAttrCase<"X", 0, "x">, I32EnumAttrCase<"Y", 1, "y">, I32EnumAttrCase<"Z", 2, "z">]>;
def BQGPU_MmaKind : BQGPU_I32Enum<"MmaKind", "element types of a matrix product", [
  I32EnumAttrCase<"BF16", 0, "bf16">, I32EnumAttrCase<"F16", 1, "f16">, I32EnumAttrCase<"U8S8", 2, "u8s8">]>;
def BQGPU_Half : BQGPU_I32Enum<"Half", "16-bit float", [
  I32EnumAttrCase<"F16", 0, "f16">, I32EnumAttrCase<"BF16", 1, "bf16">]>;

#endif // BQ_DIALECT_GPU_BQGPUBASE_TD
