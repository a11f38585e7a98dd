// From one chunk, and one file, to the next.
// SPDX-License-Identifier: BSL-1.0
#include "chunks.hpp"

#include <algorithm>
#include <chrono>

namespace {

constexpr std::size_t kept = 400;  // bytes of a chunk's text

}  // namespace

bool Chunks::has_chunk() {
  while (!chunk_ && at_ < own_.size() && !stop_.stop_requested()) {
    const File& file = files_[own_[at_]];
    if (!reader_) reader_.emplace(file.path, most_words_);
    chunk_ = reader_->next();
    if (chunk_) {
      journal_->push({{own_[at_], chunk_->offset, chunk_->line, chunk_->text.substr(0, kept)},
                      before_ + std::min(chunk_->end, file.bytes),
                      std::chrono::steady_clock::now()});
    } else {
      reader_.reset();
      before_ += file.bytes;
      ++at_;
    }
  }
  return chunk_.has_value();
}
