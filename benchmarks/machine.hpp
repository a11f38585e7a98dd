// What the results depend on besides the code.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

/// Processor, cores, system, compiler and the releases of the libraries, in a line or two.
[[nodiscard]] std::string description_of_machine();
