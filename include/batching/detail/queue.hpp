// Queue: first in, first out, in one block of memory.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

/// One that was always empty has no memory, where `std::deque` may have half a kilobyte. Elements move.
template <class T>
class Queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - first_; }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return items_[first_ + index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return items_[first_ + index]; }
  [[nodiscard]] T& front() noexcept { return (*this)[0]; }
  [[nodiscard]] const T& front() const noexcept { return (*this)[0]; }
  [[nodiscard]] T& back() noexcept { return items_.back(); }
  [[nodiscard]] auto begin() const noexcept { return items_.begin() + static_cast<std::ptrdiff_t>(first_); }
  [[nodiscard]] auto end() const noexcept { return items_.end(); }

  void push(T item) { items_.push_back(std::move(item)); }
  /// Constant time on average: what has left is removed when it is half of all.
  T pop() noexcept {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>);
    T oldest = std::move(items_[first_++]);
    if (2 * first_ >= items_.size()) {
      items_.erase(items_.begin(), begin());
      first_ = 0;
    }
    return oldest;
  }
  void clear() noexcept {
    items_.clear();
    first_ = 0;
  }

 private:
  std::vector<T> items_;
  std::size_t first_ = 0;
};

}  // namespace batching::detail
