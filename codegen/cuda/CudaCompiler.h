// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Kernels for NVIDIA GPUs: the functions of CompilerApi for a CudaTarget.
#ifndef BQ_CODEGEN_CUDA_CUDACOMPILER_H
#define BQ_CODEGEN_CUDA_CUDACOMPILER_H

#include "codegen/Compiler.h"

namespace bq {

/// Of each, `target` is the one that `request` holds. NotFound where NVRTC is needed and not there.
Expected<Artifact> compileForCuda(const CompileRequest &request, const CudaTarget &target);
Expected<std::string> explainForCuda(const CompileRequest &request, const CudaTarget &target, Stage stage);

} // namespace bq

#endif // BQ_CODEGEN_CUDA_CUDACOMPILER_H
