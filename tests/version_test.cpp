// Tests of <batching/version.hpp>.
// SPDX-License-Identifier: BSL-1.0
#include <batching/version.hpp>

#include <string>

#include "catch.hpp"

TEST_CASE("the version string says what the macros say") {
  CHECK(std::string(batching::version) == std::to_string(BATCHING_VERSION_MAJOR) + "." +
                                              std::to_string(BATCHING_VERSION_MINOR) + "." +
                                              std::to_string(BATCHING_VERSION_PATCH));
}

TEST_CASE("the version number grows with every part of the version") {
  CHECK(BATCHING_VERSION == BATCHING_VERSION_MAJOR * 10000 + BATCHING_VERSION_MINOR * 100 + BATCHING_VERSION_PATCH);
}
