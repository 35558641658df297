# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bq_add_build_id(<target> <source> FOLDERS <folder>...): a static library made of <source>, which finds BQ_BUILD_ID in
# BuildId.inc of its build folder: a string that changes whenever a source file below the folders (relative to the root)
# does. Run as a script this file writes that header.

if(CMAKE_SCRIPT_MODE_FILE)
  file(STRINGS "${BQ_LIST}" files)
  set(text "")
  foreach(file IN LISTS files)
    file(SHA256 "${BQ_ROOT}/${file}" hash)
    string(APPEND text "${file} ${hash}\n")
  endforeach()
  string(SHA256 hash "${text}")
  string(SUBSTRING "${hash}" 0 16 hash)
  # Left alone where it would be the same, so that nothing is rebuilt for it.
  file(CONFIGURE OUTPUT "${BQ_HEADER}" CONTENT "#define BQ_BUILD_ID \"${BQ_VERSION}-${hash}\"\n" @ONLY)
  return()
endif()

include_guard()
set(BQ_BUILD_ID_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(bq_add_build_id target source)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "" "FOLDERS")
  set(patterns "")
  foreach(folder IN LISTS ARG_FOLDERS)
    foreach(extension h cpp td inc cuh)
      list(APPEND patterns "${bq_SOURCE_DIR}/${folder}/*.${extension}")
    endforeach()
  endforeach()
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${bq_SOURCE_DIR}" ${patterns})
  list(SORT files)
  list(JOIN files "\n" text)
  set(header "${CMAKE_CURRENT_BINARY_DIR}/BuildId.inc")
  file(CONFIGURE OUTPUT "${header}.files" CONTENT "${text}\n" @ONLY)
  list(TRANSFORM files PREPEND "${bq_SOURCE_DIR}/")
  add_custom_command(OUTPUT "${header}"
    COMMAND "${CMAKE_COMMAND}" -DBQ_ROOT=${bq_SOURCE_DIR} -DBQ_LIST=${header}.files -DBQ_VERSION=${bq_VERSION}
      -DBQ_HEADER=${header} -P "${BQ_BUILD_ID_SCRIPT}"
    DEPENDS ${files} "${header}.files" "${BQ_BUILD_ID_SCRIPT}"
    COMMENT "Hashing the sources that shape kernels"
    VERBATIM)
  bq_add_library(${target} SOURCES ${source} "${header}")
endfunction()
