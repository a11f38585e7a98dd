// Journal: what has been taken from a user's files and is on its way, in order.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

/// What the embedding of a chunk does not tell: where it stands, and how it begins.
struct Passage {
  std::size_t file = 0;  // its number
  std::uint64_t offset = 0;
  std::size_t line = 1;
  std::string begin;
};

struct Entry {
  Passage passage;
  std::uint64_t done = 0;  // bytes of all the user's files up to its end
  std::chrono::steady_clock::time_point submitted;
};

/// Written where chunks are taken, read where their embeddings come: on two threads.
class Journal {
 public:
  void push(Entry entry) {
    const std::lock_guard lock(mutex_);
    entries_.push_back(std::move(entry));
  }
  /// There is one for each embedding.
  [[nodiscard]] Entry pop() {
    const std::lock_guard lock(mutex_);
    Entry entry = std::move(entries_.front());
    entries_.pop_front();
    return entry;
  }

 private:
  std::mutex mutex_;
  std::deque<Entry> entries_;
};
