// Words, paragraphs and chunks.
// SPDX-License-Identifier: BSL-1.0
#include "chunk_reader.hpp"

#include <cerrno>
#include <cstdio>

namespace {

constexpr std::size_t longest_word = 256;  // where there are no blanks, chunks have an end, too

/// Control characters, too: none of them gets into a chunk.
bool is_blank(int byte) { return byte <= ' ' || byte == 0x7f; }

}  // namespace

ChunkReader::ChunkReader(const std::filesystem::path& path, std::size_t most_words)
    : path_(path), file_(open(path)), most_words_(most_words) {}

std::optional<Chunk> ChunkReader::next() {
  if (!has_word()) return {};
  Chunk chunk{{}, word_line_, word_offset_, word_end_};
  for (std::size_t words = 0; words < most_words_ && has_word(); ++words) {
    if (words > 0 && begins_paragraph_ && 4 * words >= most_words_) break;
    if (words > 0) chunk.text += ' ';
    chunk.text += word_;
    chunk.end = word_end_;
    word_.clear();
  }
  return chunk;
}

int ChunkReader::get() {
  const int byte = getc_unlocked(file_.get());
  if (byte != EOF) {
    ++bytes_;
  } else if (std::ferror(file_.get()) != 0) {
    fail_reading(path_, errno);
  }
  return byte;
}

bool ChunkReader::has_word() {
  if (!word_.empty()) return true;
  std::size_t line_ends = 0;
  int byte = get();
  for (; byte != EOF && is_blank(byte); byte = get()) {
    if (byte == '\n') ++line_ends;
  }
  line_ += line_ends;
  word_line_ = line_;
  begins_paragraph_ = line_ends >= 2;
  word_offset_ = bytes_ - 1;
  for (; byte != EOF && !is_blank(byte); byte = get()) {
    word_ += static_cast<char>(byte);
    if (word_.size() == longest_word) break;
  }
  word_end_ = word_offset_ + word_.size();
  if (byte == '\n') {  // it may be the first of an empty line
    (void)std::ungetc(byte, file_.get());
    --bytes_;
  }
  return !word_.empty();
}
