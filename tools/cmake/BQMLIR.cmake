# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bq_mlir: the one door to MLIR and LLVM.
find_package(MLIR 22.1 REQUIRED CONFIG)
message(STATUS "bq: MLIR ${LLVM_PACKAGE_VERSION} in ${MLIR_DIR}")
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)

add_library(bq_mlir INTERFACE)
target_include_directories(bq_mlir SYSTEM INTERFACE ${MLIR_INCLUDE_DIRS} ${LLVM_INCLUDE_DIRS})
separate_arguments(_definitions NATIVE_COMMAND "${LLVM_DEFINITIONS}")
target_compile_definitions(bq_mlir INTERFACE ${_definitions})
# Exceptions and RTTI as LLVM itself was built.
target_compile_options(bq_mlir INTERFACE -fno-exceptions $<$<NOT:$<BOOL:${LLVM_ENABLE_RTTI}>>:-fno-rtti>)
target_link_libraries(bq_mlir INTERFACE MLIR LLVM)
