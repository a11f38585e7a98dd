// StreamEvent: outputs of neighbouring items, or a hook.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/outputs.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/hook.hpp>

#include <any>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace batching {

template <class Out>
class StreamEvent {
 public:
  [[nodiscard]] bool is_hook() const noexcept { return is_hook_; }
  /// Of the first item in the caller's call.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  /// The outputs from there on, to be moved from; empty for a hook.
  [[nodiscard]] std::span<detail::Stored<Out>> outputs() noexcept { return {outputs_.data(), outputs_.size()}; }

  /// The hook's name; empty for outputs.
  [[nodiscard]] const std::string& hook() const noexcept { return hook_; }
  /// One for each item from `offset` on; of a broadcast the one.
  [[nodiscard]] std::span<const std::any> payloads() const noexcept { return payloads_; }
  [[nodiscard]] bool is_broadcast() const noexcept { return is_broadcast_; }
  /// A payload as what it is. Throws `std::invalid_argument` where it is of another type, `std::out_of_range`.
  template <class T>
  [[nodiscard]] const T& payload(std::size_t index = 0) const {
    return HookEvent{hook_, offset_, payloads_, is_broadcast_, payloads_.size()}.template payload<T>(index);
  }
  template <class T>
  [[nodiscard]] const T& payload(const Hook<T>&, std::size_t index = 0) const {
    return payload<T>(index);
  }

  /// For the library.
  StreamEvent(std::size_t offset, detail::Array<detail::Stored<Out>> outputs)
      : offset_(offset), outputs_(std::move(outputs)) {}
  StreamEvent(std::size_t offset, std::string hook, std::vector<std::any> payloads, bool is_broadcast)
      : is_hook_(true),
        is_broadcast_(is_broadcast),
        offset_(offset),
        hook_(std::move(hook)),
        payloads_(std::move(payloads)) {}

 private:
  bool is_hook_ = false;
  bool is_broadcast_ = false;
  std::size_t offset_;
  detail::Array<detail::Stored<Out>> outputs_;
  std::string hook_;
  detail::Late<std::vector<std::any>, Out> payloads_;
};

}  // namespace batching
