# Finds standalone Asio, which installs no CMake package, and defines asio::asio. Hints: asio_ROOT, ASIO_INCLUDE_DIR.
# SPDX-License-Identifier: BSL-1.0
#
# Installed beside batchingConfig.cmake, which needs it again on the user's machine.
find_path(ASIO_INCLUDE_DIR asio/version.hpp PATH_SUFFIXES asio/include)
mark_as_advanced(ASIO_INCLUDE_DIR)

if(ASIO_INCLUDE_DIR)
  file(STRINGS ${ASIO_INCLUDE_DIR}/asio/version.hpp asio_VERSION REGEX "#define ASIO_VERSION ")
  string(REGEX REPLACE ".*// ([0-9.]+).*" "\\1" asio_VERSION "${asio_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(asio
  REQUIRED_VARS ASIO_INCLUDE_DIR
  VERSION_VAR asio_VERSION
  REASON_FAILURE_MESSAGE "install standalone Asio (Debian: apt-get install libasio-dev) or set asio_ROOT")

if(asio_FOUND AND NOT TARGET asio::asio)
  add_library(asio::asio INTERFACE IMPORTED GLOBAL)
  set_target_properties(asio::asio PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES ${ASIO_INCLUDE_DIR}
    INTERFACE_COMPILE_DEFINITIONS ASIO_STANDALONE)
endif()
