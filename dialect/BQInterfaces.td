// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What passes ask of ops, whichever they are.
#ifndef BQ_DIALECT_BQINTERFACES_TD
#define BQ_DIALECT_BQINTERFACES_TD

include "mlir/IR/OpBase.td"

def BQ_ProductLayer : OpInterface<"ProductLayer"> {
  let cppNamespace = "::bq";
  let description = [{
    A layer that is the product of rows of activations with a prepacked weight. Its kernel multiplies rows of K elements
    with N rows of the weight; how the rows come from the input is the layer's own.
  }];
  let methods = [
    InterfaceMethod<"The activations.", "::mlir::Value", "getInput">,
    InterfaceMethod<"The weight.", "::mlir::Value", "getWeight">,
    InterfaceMethod<"The bias, f32 [N], or null.", "::mlir::Value", "getBias">,
    InterfaceMethod<"The bias as an operand to be set.", "::mlir::MutableOperandRange", "getBiasMutable">,
    InterfaceMethod<"How the sum is taken.", "::bq::ComputeAttr", "getCompute">,
    InterfaceMethod<"The activation, `none` where it is not given.", "::bq::Activation", "getActivationKind">,
    InterfaceMethod<"Sets the activation.", "void", "setActivationAttr", (ins "::bq::ActivationAttr":$activation)>,
    InterfaceMethod<"Bits of a static activation, 0 where activations are taken as they come.", "int64_t",
                    "getStaticBits">,
    InterfaceMethod<"Whether columns of the input are permuted.", "bool", "getPermuted">,
    InterfaceMethod<"Whether columns of the input are multiplied by factors.", "bool", "getColumnFactors">,
    InterfaceMethod<"The schedule, where there is one.", "::std::optional<::bq::ScheduleAttr>", "getSchedule">,
    InterfaceMethod<"Rows of the product, dynamic where they are not known.", "int64_t", "getProductRows">,
    InterfaceMethod<"Rows of the weight that one kernel has.", "int64_t", "getKernelRows">,
    InterfaceMethod<"Height and width of the patch that a row is; empty where the rows are those of the input.",
                    "::llvm::ArrayRef<int64_t>", "getPatch">
  ];
}

#endif // BQ_DIALECT_BQINTERFACES_TD
