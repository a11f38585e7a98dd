# Where the dependencies come from: a target that exists already, else the installed one, else a pinned download.
# SPDX-License-Identifier: BSL-1.0
#
# CMake's own switches apply: FETCHCONTENT_TRY_FIND_PACKAGE_MODE=NEVER ignores what is installed,
# FETCHCONTENT_SOURCE_DIR_<ASIO|CATCH2|BENCHMARK>=<directory> uses a local copy instead of either.
include_guard()
include(FetchContent)

# batching_fetch(<name> <Debian package> <find_package arguments> <FetchContent_Declare arguments>...)
macro(batching_fetch name debian find_arguments)
  message(CHECK_START "${name}: installed (Debian: ${debian}), else fetched")
  FetchContent_Declare(${name} ${ARGN} FIND_PACKAGE_ARGS ${find_arguments} GLOBAL)
  FetchContent_MakeAvailable(${name})
  if(${name}_FOUND)
    message(CHECK_PASS "${${name}_VERSION}, installed")
  else()
    string(TOLOWER ${name} lower_name)
    message(CHECK_PASS "${${lower_name}_SOURCE_DIR}")
    if(TARGET ${name})
      # Our warnings are not for its headers. (SYSTEM in FetchContent_Declare spoils URL_HASH in CMake 3.25.1.)
      set_target_properties(${name} PROPERTIES SYSTEM TRUE)
    endif()
  endif()
endmacro()

function(batching_missing name debian)
  string(TOUPPER ${name} upper_name)
  message(FATAL_ERROR "batching needs ${name}, and it is neither installed nor fetched. Install it (Debian: "
                      "apt-get install ${debian}), allow CMake to download it, or set "
                      "FETCHCONTENT_SOURCE_DIR_${upper_name} to a directory that has it.")
endfunction()

# asio::asio and Threads::Threads, visible in the whole build: whoever links batching needs to see them, too.
macro(batching_require_asio)
  find_package(Threads REQUIRED GLOBAL)
  if(TARGET asio AND NOT TARGET asio::asio)
    add_library(asio::asio ALIAS asio)
  endif()
  if(NOT TARGET asio::asio)
    list(PREPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR}/cmake)
    batching_fetch(asio libasio-dev "1.22.1;MODULE"
      URL https://github.com/chriskohlhoff/asio/archive/refs/tags/asio-1-38-2.tar.gz
      URL_HASH SHA256=9f2648fa483e58a6bf848d970ee0ea650ca19ed7769dfa520ed4f7b8d27af1db)
    if(NOT TARGET asio::asio)
      # Asio has no CMake files of its own, and older releases keep their headers one folder deeper.
      find_path(ASIO_INCLUDE_DIR asio/version.hpp NO_CACHE NO_DEFAULT_PATH
        PATHS ${asio_SOURCE_DIR}/include ${asio_SOURCE_DIR}/asio/include)
      if(NOT ASIO_INCLUDE_DIR)
        batching_missing(asio libasio-dev)
      endif()
      include(Findasio)
    endif()
  endif()
endmacro()

# Version 2.13 or 3.
macro(batching_require_catch2)
  batching_fetch(Catch2 catch2 ""
    URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
    URL_HASH SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c)
  if(NOT TARGET Catch2::Catch2)
    batching_missing(Catch2 catch2)
  endif()
endmacro()

macro(batching_require_benchmark)
  set(BENCHMARK_ENABLE_TESTING OFF)
  set(BENCHMARK_ENABLE_WERROR OFF)
  set(BENCHMARK_ENABLE_INSTALL OFF)
  batching_fetch(benchmark libbenchmark-dev ""
    URL https://github.com/google/benchmark/archive/refs/tags/v1.9.5.tar.gz
    URL_HASH SHA256=9631341c82bac4a288bef951f8b26b41f69021794184ece969f8473977eaa340)
  if(NOT TARGET benchmark::benchmark)
    batching_missing(benchmark libbenchmark-dev)
  endif()
endmacro()
