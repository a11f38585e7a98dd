// The library's version: this file is the only place that holds it, CMake reads it from here.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#define BATCHING_VERSION_MAJOR 0
#define BATCHING_VERSION_MINOR 1
#define BATCHING_VERSION_PATCH 0

/// For `#if BATCHING_VERSION >= 10203`, which means 1.2.3.
#define BATCHING_VERSION (BATCHING_VERSION_MAJOR * 10000 + BATCHING_VERSION_MINOR * 100 + BATCHING_VERSION_PATCH)

#define BATCHING_QUOTED(text) #text
#define BATCHING_JOINED(major, minor, patch) \
  BATCHING_QUOTED(major) "." BATCHING_QUOTED(minor) "." BATCHING_QUOTED(patch)

namespace batching {

/// "major.minor.patch"
inline constexpr std::string_view version =
    BATCHING_JOINED(BATCHING_VERSION_MAJOR, BATCHING_VERSION_MINOR, BATCHING_VERSION_PATCH);

}  // namespace batching

#undef BATCHING_JOINED
#undef BATCHING_QUOTED
