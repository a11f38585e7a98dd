// W1's runs that other workloads compare themselves to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "meter.hpp"

/// One producer with 1024 items in flight: the floor.
[[nodiscard]] Sample floor_futures(std::size_t items);
