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
  std::string file;                 // "-" is standard input; empty: one that the machine has
  std::filesystem::path database;   // empty: one of its own in a fresh directory
  std::filesystem::path directory;  // where that is made; empty: a place on a disk
  bool keep = false;
  std::filesystem::path chart = "durable_log.svg";
  std::vector<std::size_t> callers = {1, 10, 25, 50, 100, 200, 500};
  std::optional<std::size_t> records;  // for each measurement; else as many as there is time for
  bool quick = false;
  bool live = false;  // the live view also where standard error is no terminal

  // More than any number of callers here: a transaction may as well take all who wait.
  std::size_t batch_size = 512;
  // Nobody waits on purpose: a lone record is written at once, and while one transaction is being made durable the next
  // batch forms by itself. The slower the disk and the more callers, the larger it gets.
  std::chrono::nanoseconds batch_timeout{0};
};

/// Nothing if the program is to end with `exit_status`: it has printed its help.
[[nodiscard]] std::optional<Settings> parse_command_line(int count, char** arguments);
