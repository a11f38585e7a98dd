// AnswerSlot: where an answer is written, once: an output or an error.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace batching::detail {

/// Like a `std::variant` of nothing, a value and an error, which moves and destroys through tables of functions: for an
/// item that costs a few nanoseconds in all, that is a part to be seen.
template <class T>
class AnswerSlot {
 public:
  AnswerSlot() noexcept {}
  AnswerSlot(const AnswerSlot&) = delete;
  AnswerSlot& operator=(const AnswerSlot&) = delete;
  ~AnswerSlot() {
    if (state_ == State::value) {
      std::destroy_at(&either_.value);
    } else if (state_ == State::error) {
      std::destroy_at(&either_.error);
    }
  }

  /// Only once, but after a `put` that has thrown.
  void put(T&& value) {
    std::construct_at(&either_.value, std::move(value));
    state_ = State::value;
  }
  /// What the other has; the reason, if that cannot be moved. Only once.
  void take(AnswerSlot& other) noexcept {
    if (other.failed()) return put_error(std::move(other.error()));
    try {
      put(std::move(other.value()));
    } catch (...) {
      put_error(std::current_exception());
    }
  }
  void put_error(std::exception_ptr error) noexcept {
    std::construct_at(&either_.error, std::move(error));
    state_ = State::error;
  }

  [[nodiscard]] bool failed() const noexcept { return state_ == State::error; }
  [[nodiscard]] T& value() noexcept { return either_.value; }
  [[nodiscard]] std::exception_ptr& error() noexcept { return either_.error; }

 private:
  enum class State : std::uint8_t { none, value, error };

  union Either {
    Either() noexcept {}
    ~Either() {}
    T value;
    std::exception_ptr error;
  };

  Either either_;
  State state_ = State::none;
};

}  // namespace batching::detail
