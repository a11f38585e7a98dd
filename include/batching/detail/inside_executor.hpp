// InsideExecutor: marks the thread while a coroutine batch function runs on it, also after a suspension.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/this_thread.hpp>

#include <concepts>
#include <utility>

namespace batching::detail {

/// The batcher's executor, but whatever it executes is `Inside` the batcher: a wait there for the same batcher is
/// refused.
class InsideExecutor {
 public:
  InsideExecutor(net::any_io_executor inner, const void* of) noexcept : inner_(std::move(inner)), of_(of) {}

  template <class F>
  void execute(F f) const {
    inner_.execute(Marked<F>{std::move(f), of_});
  }
  template <class Property>
  requires net::can_query_v<const net::any_io_executor&, Property>
  [[nodiscard]] decltype(auto) query(const Property& property) const { return net::query(inner_, property); }
  template <class Property>
  requires net::can_require_v<const net::any_io_executor&, Property>
  [[nodiscard]] InsideExecutor require(const Property& property) const { return {net::require(inner_, property), of_}; }
  template <class Property>
  requires net::can_prefer_v<const net::any_io_executor&, Property>
  [[nodiscard]] InsideExecutor prefer(const Property& property) const { return {net::prefer(inner_, property), of_}; }
  [[nodiscard]] bool operator==(const InsideExecutor& other) const noexcept {
    return inner_ == other.inner_ && of_ == other.of_;
  }
  [[nodiscard]] bool operator!=(const InsideExecutor& other) const noexcept { return !(*this == other); }

 private:
  template <class F>
  struct Marked {
    F function;
    const void* of;
    void operator()() {
      const Inside inside(of);
      std::move(function)();
    }
  };

  net::any_io_executor inner_;
  const void* of_;
};

}  // namespace batching::detail
