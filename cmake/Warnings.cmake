# The warnings that our own tests, examples and benchmarks are compiled with; never part of what a consumer gets.
# SPDX-License-Identifier: BSL-1.0
#
# Our presets turn them into errors (CMAKE_COMPILE_WARNING_AS_ERROR).
add_library(batching_warnings INTERFACE)
target_compile_options(batching_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor)
