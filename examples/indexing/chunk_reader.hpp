// ChunkReader: splits one file into chunks, no sooner than they are asked for.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "files.hpp"

struct Chunk {
  std::string text;          // its words, a blank between two: wherever the same words stand, it is the same text
  std::size_t line = 1;      // of its first word
  std::uint64_t offset = 0;  // likewise, in bytes
  std::uint64_t end = 0;     // past its last word
};

/// A chunk ends after `most_words`, or with a paragraph that leaves it at least a quarter of them.
class ChunkReader {
 public:
  /// Throws a sentence if the file cannot be opened.
  ChunkReader(const std::filesystem::path& path, std::size_t most_words);

  /// Reads on, hardly further than the chunk; none after the last. Throws a sentence if that fails.
  [[nodiscard]] std::optional<Chunk> next();

 private:
  [[nodiscard]] int get();
  /// There is a word in hand; if there was none it is read.
  [[nodiscard]] bool has_word();

  std::filesystem::path path_;
  OpenFile file_;
  std::size_t most_words_;

  std::uint64_t bytes_ = 0;  // read
  std::size_t line_ = 1;
  std::string word_;
  std::size_t word_line_ = 1;
  std::uint64_t word_offset_ = 0;
  std::uint64_t word_end_ = 0;
  bool begins_paragraph_ = true;
};
