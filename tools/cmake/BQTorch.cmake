# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bq_torch: the one door to LibTorch, taken from the torch wheel in BQ_TORCH_DIR. CUDA parts are not linked.
set(BQ_TORCH_DIR "${bq_SOURCE_DIR}/.venv/lib/python3/site-packages/torch" CACHE PATH "Folder of the torch package, or of LibTorch")
if(NOT EXISTS "${BQ_TORCH_DIR}/include/torch/headeronly/version.h")
  file(GLOB _found "${bq_SOURCE_DIR}/.venv/lib/python3.*/site-packages/torch/include/torch/headeronly/version.h")
  if(NOT _found)
    message(FATAL_ERROR "no LibTorch headers in ${BQ_TORCH_DIR}: run tools/setup, or pass -DBQ_TORCH_DIR=<folder>")
  endif()
  list(GET _found 0 _found)
  cmake_path(SET _found NORMALIZE "${_found}/../../../..")
  set(BQ_TORCH_DIR "${_found}" CACHE PATH "Folder of the torch package, or of LibTorch" FORCE)
endif()
file(STRINGS "${BQ_TORCH_DIR}/include/torch/headeronly/version.h" _version REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
list(TRANSFORM _version REPLACE "[^0-9]" "")
list(JOIN _version "." _version)
if(NOT _version STREQUAL "2.11")
  message(FATAL_ERROR "LibTorch 2.11 needed, found ${_version} in ${BQ_TORCH_DIR}: run tools/setup")
endif()

add_library(bq_torch INTERFACE)
target_include_directories(bq_torch SYSTEM INTERFACE
  "${BQ_TORCH_DIR}/include" "${BQ_TORCH_DIR}/include/torch/csrc/api/include")
target_link_libraries(bq_torch INTERFACE "${BQ_TORCH_DIR}/lib/libtorch_cpu.so" "${BQ_TORCH_DIR}/lib/libc10.so")
target_link_options(bq_torch INTERFACE "-Wl,-rpath,${BQ_TORCH_DIR}/lib" -Wl,--allow-shlib-undefined)
# at::parallel_for is a template over OpenMP: compiled without it, it runs on one thread. The library is LibTorch's own.
file(GLOB _openmp "${BQ_TORCH_DIR}/lib/libgomp*.so*")
target_compile_options(bq_torch INTERFACE -fopenmp)
target_link_libraries(bq_torch INTERFACE ${_openmp})
