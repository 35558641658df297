# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bq_torch: the one door to LibTorch, in this project and in the installed package: the LibTorch of the target `torch`
# where find_package(Torch) has made it, else the one in BQ_TORCH_DIR, looked for in BQ_TORCH_HINTS. CUDA parts are not
# linked. Where there is no fit LibTorch, BQ_TORCH_ERROR says why, and there is no bq_torch.
if(TARGET bq_torch)
  return()
endif()
set(BQ_TORCH_ERROR "")
if(TARGET torch)
  get_property(_location TARGET torch PROPERTY LOCATION)
  cmake_path(GET _location PARENT_PATH _folder)
  cmake_path(GET _folder PARENT_PATH BQ_TORCH_DIR)
else()
  find_path(BQ_TORCH_DIR include/torch/headeronly/version.h PATHS ${BQ_TORCH_HINTS} NO_DEFAULT_PATH
    DOC "Folder of the torch package, or of LibTorch")
endif()
set(_version "no headers")
if(EXISTS "${BQ_TORCH_DIR}/include/torch/headeronly/version.h")
  file(STRINGS "${BQ_TORCH_DIR}/include/torch/headeronly/version.h" _version
    REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
  list(TRANSFORM _version REPLACE "[^0-9]" "")
  list(JOIN _version "." _version)
endif()
if(NOT _version STREQUAL "2.11")
  set(BQ_TORCH_ERROR "LibTorch 2.11 needed, found ${_version} in BQ_TORCH_DIR=${BQ_TORCH_DIR}")
  return()
endif()

add_library(bq_torch INTERFACE IMPORTED)
target_include_directories(bq_torch SYSTEM INTERFACE
  "${BQ_TORCH_DIR}/include" "${BQ_TORCH_DIR}/include/torch/csrc/api/include")
target_link_libraries(bq_torch INTERFACE "${BQ_TORCH_DIR}/lib/libtorch_cpu.so" "${BQ_TORCH_DIR}/lib/libc10.so")
target_link_options(bq_torch INTERFACE -Wl,--allow-shlib-undefined)
# at::parallel_for is a template over OpenMP: compiled without it, it runs on one thread. The library is LibTorch's own.
file(GLOB _openmp "${BQ_TORCH_DIR}/lib/libgomp*.so*")
target_compile_options(bq_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_link_libraries(bq_torch INTERFACE ${_openmp})
