// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// From the LLVM dialect to LLVM IR, assembly and object code for a CPU.
#ifndef BQ_CODEGEN_CPU_OBJECTEMITTER_H
#define BQ_CODEGEN_CPU_OBJECTEMITTER_H

#include "dialect/core/CpuTarget.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <vector>

namespace bq {

/// One module on its way to machine code. The steps are taken in order: create, optimize, then print or emit.
class ObjectEmitter {
public:
  /// Translates `module`, which must be in the LLVM dialect, for `target`.
  static Expected<std::unique_ptr<ObjectEmitter>> create(mlir::ModuleOp module, const CpuTarget &target);

  /// The few LLVM passes that generated kernels need: buffers to pointers, common subexpressions, loop rotation.
  Status optimize();
  /// LLVM IR as text.
  std::string print() const;
  /// Assembly as text. The module is used up.
  Expected<std::string> emitAssembly();
  /// A relocatable object. The module is used up.
  Expected<std::vector<uint8_t>> emitObject();

private:
  ObjectEmitter() = default;
  Status emit(llvm::SmallVectorImpl<char> &bytes, llvm::CodeGenFileType type);

  llvm::LLVMContext context;
  std::unique_ptr<llvm::TargetMachine> machine;
  std::unique_ptr<llvm::Module> module;
};

} // namespace bq

#endif // BQ_CODEGEN_CPU_OBJECTEMITTER_H
