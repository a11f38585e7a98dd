// Chunks: the chunks of a user's files as a lazy range.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "chunk_reader.hpp"
#include "files.hpp"
#include "journal.hpp"

/// One file at a time is open, and one chunk in memory. An input range: it can be read once. It ends early when it is
/// told to stop; that a file cannot be read is thrown in its place.
class Chunks {
 public:
  /// `files` outlives it, and `own` are the numbers of those to be read.
  Chunks(std::span<const File> files, std::vector<std::size_t> own, std::size_t most_words, std::stop_token stop,
         std::shared_ptr<Journal> journal)
      : files_(files),
        own_(std::move(own)),
        most_words_(most_words),
        stop_(std::move(stop)),
        journal_(std::move(journal)) {}

  /// Reads when it is asked whether there is more, not when it leaves an element: what is not wanted yet is not read,
  /// and an error does not come before the chunk ahead of it is on its way.
  class Iterator {
   public:
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(Chunks& chunks) : chunks_(&chunks) {}
    [[nodiscard]] std::string& operator*() const { return chunks_->chunk_->text; }
    Iterator& operator++() { return chunks_->leave(), *this; }
    void operator++(int) { chunks_->leave(); }
    bool operator==(std::default_sentinel_t) const { return !chunks_->has_chunk(); }

   private:
    Chunks* chunks_;
  };
  [[nodiscard]] Iterator begin() { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  /// There is a chunk in hand; if there was none it is read, and noted in the journal.
  [[nodiscard]] bool has_chunk();
  void leave() noexcept { chunk_.reset(); }

  std::span<const File> files_;
  std::vector<std::size_t> own_;
  std::size_t most_words_;
  std::stop_token stop_;
  std::shared_ptr<Journal> journal_;

  std::size_t at_ = 0;        // in `own_`
  std::uint64_t before_ = 0;  // bytes of the files before that
  std::optional<ChunkReader> reader_;
  std::optional<Chunk> chunk_;
};
