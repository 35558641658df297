# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What `cmake --install` puts where: programs, libraries, public headers, and the package that find_package(bq) reads.
include(CMakePackageConfigHelpers)

set(BQ_INSTALL_PACKAGE "${CMAKE_INSTALL_LIBDIR}/cmake/bq")
# The package adds this folder, so that a header is spelled as in the sources and nothing without a prefix is beside it.
set(BQ_INSTALL_HEADERS "${CMAKE_INSTALL_INCLUDEDIR}/bq")

# Each with all that it includes.
set(headers
  codegen/Artifact.h
  codegen/Compiler.h
  dialect/core/KernelAbi.h
  codegen/KernelSpec.h
  dialect/core/CpuTarget.h
  dialect/core/CudaAbi.h
  dialect/core/CudaTarget.h
  dialect/core/DirectConv2d.h
  dialect/core/Format.h
  dialect/core/Half.h
  dialect/core/Layout.h
  dialect/core/Noise.h
  dialect/core/NoiseAbi.h
  dialect/core/Segments.h
  dialect/core/Status.h
  dialect/core/Target.h
  dialect/core/Types.h
  runtime/ArtifactCache.h
  runtime/Backend.h
  runtime/CompilerLibrary.h
  runtime/Conv2dShape.h
  runtime/DiskCache.h
  runtime/ElfLoader.h
  runtime/FakeQuantizeArgs.h
  runtime/Fork.h
  runtime/Kernel.h
  runtime/KernelCache.h
  runtime/KernelFile.h
  runtime/MagnitudeSumsArgs.h
  runtime/OnceTable.h
  runtime/Options.h
  runtime/UpdateArgs.h)
install(TARGETS bq-opt bq-lsp-server BQCompiler)
set_target_properties(BQRuntime PROPERTIES EXPORT_NAME runtime)
install(TARGETS BQRuntime EXPORT bqTargets INCLUDES DESTINATION "${BQ_INSTALL_HEADERS}")
install(EXPORT bqTargets NAMESPACE bq:: DESTINATION "${BQ_INSTALL_PACKAGE}")

if(BQ_ENABLE_TORCH)
  list(APPEND headers
    quantizers/Conv2dSteps.h
    quantizers/Convert.h
    quantizers/DiffqNoise.h
    quantizers/Export.h
    quantizers/Mixed.h
    quantizers/Modules.h
    quantizers/PackedWeight.h
    quantizers/Prepare.h
    quantizers/SafeTensors.h
    quantizers/StaticActivations.h
    quantizers/Tensors.h
    quantizers/Update.h
    quantizers/WeightedQuantize.h
    quantizers/diffq/BitLogits.h
    quantizers/diffq/DiffQuantizer.h
    quantizers/diffq/LSQ.h
    quantizers/diffq/ModelQuantizer.h
    quantizers/diffq/ModelView.h
    quantizers/diffq/Selection.h
    quantizers/diffq/UniformQuantizer.h
    quantizers/diffq/UpstreamFiles.h
    quantizers/diffq/UpstreamState.h
    quantizers/diffq/WeightScope.h
    quantizers/nbit/Gba.h
    quantizers/nbit/Gptq.h
    quantizers/nbit/IntegerRule.h
    quantizers/nbit/Layer.h
    quantizers/nbit/MpqLinear.h
    quantizers/nbit/NBitLayers.h
    quantizers/nbit/NBitModule.h
    quantizers/nbit/NBitSettings.h
    quantizers/nbit/Parameters.h
    quantizers/nbit/QuantizedProduct.h
    quantizers/onebit/Calibration.h
    quantizers/onebit/Decompose.h
    quantizers/onebit/Journal.h
    quantizers/onebit/LayerFilter.h
    quantizers/onebit/ModelLayers.h
    quantizers/onebit/OneBit.h
    quantizers/onebit/OneBitFiles.h
    quantizers/onebit/OneBitLinear.h
    quantizers/onebit/OneBitOptions.h
    quantizers/onebit/OneBitResult.h
    quantizers/optim/DiodeMix.h
    quantizers/optim/GaLoreProjector.h)
  # The real folder, which is there also when the clone with its .venv is gone.
  file(REAL_PATH "${BQ_TORCH_DIR}" BQ_INSTALL_TORCH)
  set_property(TARGET bq_torch_ops bqc_torch APPEND PROPERTY INSTALL_RPATH "${BQ_INSTALL_TORCH}/lib")
  install(TARGETS bqc bqc_torch LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  set_target_properties(bq_torch_ops PROPERTIES EXPORT_NAME torch)
  install(TARGETS bq_torch_ops EXPORT bqTorchTargets)
  install(EXPORT bqTorchTargets NAMESPACE bq:: DESTINATION "${BQ_INSTALL_PACKAGE}")
  install(FILES tools/cmake/BQTorch.cmake DESTINATION "${BQ_INSTALL_PACKAGE}")
endif()

foreach(header IN LISTS headers)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES "${header}" DESTINATION "${BQ_INSTALL_HEADERS}/${folder}")
endforeach()

configure_package_config_file(tools/cmake/bqConfig.cmake.in bqConfig.cmake INSTALL_DESTINATION "${BQ_INSTALL_PACKAGE}")
# Before 1.0 a minor version may change what callers see.
write_basic_package_version_file(bqConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES "${bq_BINARY_DIR}/bqConfig.cmake" "${bq_BINARY_DIR}/bqConfigVersion.cmake"
  DESTINATION "${BQ_INSTALL_PACKAGE}")
