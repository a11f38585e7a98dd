// EventIterator: `for (auto& event : stream)`.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <iterator>
#include <optional>

namespace batching::detail {

/// Consumes a stream by `next`.
template <class Stream>
class EventIterator {
 public:
  using value_type = typename Stream::Event;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;

  explicit EventIterator(Stream& stream) : stream_(&stream), event_(stream.next()) {}
  [[nodiscard]] value_type& operator*() { return *event_; }
  [[nodiscard]] value_type* operator->() { return &*event_; }
  EventIterator& operator++() {
    event_ = stream_->next();
    return *this;
  }
  void operator++(int) { ++*this; }
  bool operator==(std::default_sentinel_t) const noexcept { return !event_; }

 private:
  Stream* stream_;
  std::optional<value_type> event_;
};

}  // namespace batching::detail
