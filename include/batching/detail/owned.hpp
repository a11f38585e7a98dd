// Owned: an object on the heap that has one owner.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

namespace batching::detail {

/// `std::unique_ptr`, as far as it is needed here. Each type in one of those takes the compiler over 5 ms, in every
/// translation unit, and here are ten; in one of these it takes a tenth of that.
template <class T>
class Owned {
 public:
  Owned() = default;
  Owned(decltype(nullptr)) noexcept {}  // NOLINT(google-explicit-constructor)
  explicit Owned(T* object) noexcept : object_(object) {}
  template <class Derived>
  Owned(Owned<Derived>&& other) noexcept : object_(other.release()) {}  // NOLINT(google-explicit-constructor)
  Owned(Owned&& other) noexcept : object_(other.release()) {}
  Owned& operator=(Owned&& other) noexcept {
    Owned(std::move(other)).swap(*this);
    return *this;
  }
  ~Owned() {
    if (object_ != nullptr) destroy(object_);
  }

  [[nodiscard]] T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  [[nodiscard]] T* release() noexcept { return std::exchange(object_, nullptr); }
  void reset() noexcept { Owned().swap(*this); }
  void swap(Owned& other) noexcept { std::swap(object_, other.object_); }

 private:
  /// What was not made by `new` says how it is destroyed.
  static void destroy(T* object) noexcept {
    if constexpr (requires { T::destroy_owned(object); }) {
      T::destroy_owned(object);
    } else {
      delete object;
    }
  }

  T* object_ = nullptr;
};

template <class T, class... Args>
[[nodiscard]] Owned<T> make_owned(Args&&... args) {
  return Owned<T>(new T(std::forward<Args>(args)...));
}

}  // namespace batching::detail
