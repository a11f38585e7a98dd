# What cmake --install puts in place: the headers and the package for find_package(batching).
# SPDX-License-Identifier: BSL-1.0
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/batching)
install(TARGETS batching EXPORT batchingTargets
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT batching)
install(EXPORT batchingTargets NAMESPACE batching:: DESTINATION ${package_dir} COMPONENT batching)

configure_package_config_file(cmake/batchingConfig.cmake.in batchingConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(batchingConfigVersion.cmake COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  ${CMAKE_CURRENT_BINARY_DIR}/batchingConfig.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/batchingConfigVersion.cmake
  cmake/Findasio.cmake
  DESTINATION ${package_dir} COMPONENT batching)
