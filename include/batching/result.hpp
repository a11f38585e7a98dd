// Result: one item's outcome, a value or an error, for batch functions that answer item by item.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <exception>
#include <optional>
#include <utility>

namespace batching {

/// A value or an error, in the manner of `std::expected<T, std::exception_ptr>`. A batch function that returns a range
/// of these decides for each item by itself: one poisoned item fails alone.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = std::exception_ptr;

  Result(T value) : value_(std::in_place, std::move(value)) {}    // NOLINT(google-explicit-constructor)
  Result(std::exception_ptr error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }
  explicit operator bool() const noexcept { return has_value(); }

  /// The value; throws the stored error if there is none.
  [[nodiscard]] T& value() & { return check(), *value_; }
  [[nodiscard]] const T& value() const& { return check(), *value_; }
  [[nodiscard]] T&& value() && { return check(), std::move(*value_); }

  /// The value, unchecked.
  [[nodiscard]] T& operator*() & noexcept { return *value_; }
  [[nodiscard]] const T& operator*() const& noexcept { return *value_; }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*value_); }
  [[nodiscard]] T* operator->() noexcept { return value_.operator->(); }
  [[nodiscard]] const T* operator->() const noexcept { return value_.operator->(); }

  /// The error; null when there is a value.
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }

 private:
  void check() const {
    if (!has_value()) throw_error();
  }
  [[noreturn]] void throw_error() const {
    if (!error_) throw std::bad_exception();
    std::rethrow_exception(error_);
  }

  std::optional<T> value_;
  std::exception_ptr error_;
};

/// Done, or an error.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = std::exception_ptr;

  Result() = default;
  Result(std::exception_ptr error) : error_(std::move(error)), failed_(true) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return has_value(); }
  void value() const {
    if (!failed_) return;
    if (!error_) throw std::bad_exception();
    std::rethrow_exception(error_);
  }
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }

 private:
  std::exception_ptr error_;
  bool failed_ = false;
};

}  // namespace batching
