# Configures, builds and runs one outside project, and checks that batching forced nothing on it.
# SPDX-License-Identifier: BSL-1.0
file(REMOVE_RECURSE ${build})

execute_process(COMMAND ${CMAKE_COMMAND} --install ${batching_build} --prefix ${build}/prefix --component batching
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# Disconnected: whatever tried a download would fail.
execute_process(COMMAND ${CMAKE_COMMAND} -S ${project} -B ${build} -G ${generator}
  -DCMAKE_CXX_COMPILER=${compiler} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DCMAKE_PREFIX_PATH=${build}/prefix
  -DBATCHING_SOURCE_DIR=${batching_source} -DFETCHCONTENT_FULLY_DISCONNECTED=ON ${arguments}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(error)
  string(REGEX REPLACE "[ \n]+" " " flat_output "${output}")
  if(result EQUAL 0 OR NOT flat_output MATCHES "${error}")
    message(FATAL_ERROR "Configuring should have failed with `${error}`:\n${output}")
  endif()
  return()
endif()
if(NOT result EQUAL 0)
  message(FATAL_ERROR "Configuring failed:\n${output}")
endif()

execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${build}/consumer TIMEOUT 30 COMMAND_ERROR_IS_FATAL ANY)

file(READ ${build}/compile_commands.json commands)
if(NOT commands MATCHES "${expect}")
  message(FATAL_ERROR "The compile command lacks `${expect}`:\n${commands}")
endif()
if(commands MATCHES " -(W|O|f|m)[a-z]")
  message(FATAL_ERROR "The consumer got compiler flags from batching:\n${commands}")
endif()
string(JSON sources LENGTH "${commands}")
if(NOT sources EQUAL 1)
  message(FATAL_ERROR "The consumer builds more than its own file:\n${commands}")
endif()
execute_process(COMMAND ${CMAKE_CTEST_COMMAND} --test-dir ${build} -N OUTPUT_VARIABLE tests COMMAND_ERROR_IS_FATAL ANY)
if(NOT tests MATCHES "Total Tests: 0")
  message(FATAL_ERROR "The consumer got tests from batching:\n${tests}")
endif()
file(GLOB downloads ${build}/_deps/*-src)
if(downloads)
  message(FATAL_ERROR "Something was downloaded: ${downloads}")
endif()
