// Settings: what the command line asks for.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

struct Settings {
  std::vector<std::filesystem::path> paths;  // files and directories; empty: a directory that every Debian has
  std::size_t users = 3;
  std::size_t chunk = 40;  // most words in one
  std::size_t partitions = 2;
  std::vector<std::string> queries;
  std::size_t top = 3;                       // chunks shown for a query
  std::chrono::milliseconds model_delay{0};  // on top of what an embedding takes, for each batch
};

/// Nothing if the program is to end: it has printed its help.
[[nodiscard]] std::optional<Settings> parse_command_line(int count, char** arguments);
