// What the program prints: the table and the outcome of the check.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include "check.hpp"
#include "measure.hpp"

/// In milliseconds, with as many digits as mean something.
[[nodiscard]] std::string milliseconds(double seconds);

void print_table(const std::vector<Row>& rows);
void print_findings(const Findings& findings);
