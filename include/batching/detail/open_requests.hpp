// OpenRequests: the requests of a stream that have become items, or are becoming so, and have no reply yet.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/queue.hpp>

#include <cstddef>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace batching::detail {

/// Items are counted over all requests. One thread opens and closes, another takes. A request stays where it is: its
/// items may refer to it.
template <class Request>
class OpenRequests {
 public:
  // --- Who reads the requests. ---

  /// `item` is the number of its first one.
  [[nodiscard]] Request& open(Request request) {
    auto entry = std::make_unique<Entry>(Entry{std::move(request), std::nullopt});
    const std::lock_guard lock(mutex_);
    entries_.push(std::move(entry));
    return entries_.back()->request;
  }
  /// The one that was opened last has all its items: those before this one.
  void close(std::size_t end) {
    const std::lock_guard lock(mutex_);
    entries_.back()->end = end;
  }

  // --- Who has the outputs. ---

  struct Entry {
    Request request;
    std::optional<std::size_t> end;
  };
  /// The oldest, if all its items come before this one.
  [[nodiscard]] std::unique_ptr<Entry> take(std::size_t item) {
    const std::lock_guard lock(mutex_);
    if (entries_.empty() || !entries_.front()->end || *entries_.front()->end > item) return nullptr;
    ++taken_;
    return entries_.pop();
  }
  /// The number of the request that an item belongs to, and where its items end as far as is known.
  struct Place {
    std::size_t request;
    std::size_t end;
  };
  [[nodiscard]] Place place_of(std::size_t item) const {
    const std::lock_guard lock(mutex_);
    Place place{taken_, std::numeric_limits<std::size_t>::max()};
    for (const auto& entry : entries_) {
      if (!entry->end) break;
      if (item < *entry->end) {
        place.end = *entry->end;
        break;
      }
      ++place.request;
    }
    return place;
  }

 private:
  mutable std::mutex mutex_;
  Queue<std::unique_ptr<Entry>> entries_;
  std::size_t taken_ = 0;
};

}  // namespace batching::detail
