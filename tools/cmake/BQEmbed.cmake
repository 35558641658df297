# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# bq_embed(<file>...): for each, <file>.inc in the build folder of this directory, to be listed as a source where it is
# used: the text as one C++ string literal. Run as a script this file writes one of those.

if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${BQ_FILE}" text)
  file(WRITE "${BQ_HEADER}" "R\"BQTEXT(${text})BQTEXT\"\n")
  return()
endif()

include_guard()
set(BQ_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(bq_embed)
  foreach(file IN LISTS ARGN)
    set(source "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    set(header "${CMAKE_CURRENT_BINARY_DIR}/${file}.inc")
    add_custom_command(OUTPUT "${header}"
      COMMAND "${CMAKE_COMMAND}" -DBQ_FILE=${source} -DBQ_HEADER=${header} -P "${BQ_EMBED_SCRIPT}"
      DEPENDS "${source}" "${BQ_EMBED_SCRIPT}"
      VERBATIM)
  endforeach()
endfunction()
