// Files: which ones are to be read, and who reads which.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct File {
  std::filesystem::path path;
  std::uint64_t bytes = 0;  // when it was looked at
};

struct Files {
  std::vector<File> files;           // by name, each once
  std::vector<std::string> skipped;  // sentences
};

/// Looks into each: what is empty, or not text, is skipped. Throws a sentence if one that was named cannot be read, or
/// none is left.
[[nodiscard]] Files find_files(const std::vector<std::filesystem::path>& paths);

/// The numbers of the files that a user reads: of the first half all, of the others their share.
[[nodiscard]] std::vector<std::size_t> files_of(std::size_t user, std::size_t users, std::size_t files);

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { (void)std::fclose(file); }
};
using OpenFile = std::unique_ptr<std::FILE, CloseFile>;

/// Both throw a sentence: for a file that cannot be opened, and one that cannot be read any further.
[[nodiscard]] OpenFile open(const std::filesystem::path& path);
[[noreturn]] void fail_reading(const std::filesystem::path& path, int error);
