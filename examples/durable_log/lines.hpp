// Lines: the real records, read from a file.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

struct Lines {
  std::string source;  // for people
  std::vector<std::string> lines;
};

/// The lines of `file`, of standard input for "-", of a file that every Debian has for an empty name: the first million
/// of the first 16 MiB, so that an input without an end has one, too. Throws a sentence when there are none.
[[nodiscard]] Lines read_lines(const std::string& file);
