// Emits: the functions by which a batch function tells its callers something.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/ranges.hpp>
#include <batching/detail/running.hpp>
#include <batching/hook.hpp>

#include <any>
#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

/// For `Batch` and `BatchContext`, which have a `running()`. Any thread, while the batch runs; whoever was answered
/// before may hear it all the same. The listeners are called before these functions return. Where nobody listens they
/// do nothing, and look at nothing.
template <class Derived>
class Emits {
 public:
  /// A payload for each item, in order: every caller hears those of its own items. Throws `std::invalid_argument` if
  /// there are more or fewer.
  template <InputRange Payloads>
  void emit(std::string_view hook, Payloads&& payloads) const {
    emit_each<std::remove_cvref_t<ValueOf<Payloads>>>(hook, payloads);
  }
  template <class T, InputRange Payloads>
  void emit(const Hook<T>& hook, Payloads&& payloads) const {
    static_assert(std::convertible_to<ReferenceOf<Payloads>, T>,
                  "batching: emit(hook, payloads): the payloads must be of the hook's type, one for each item");
    emit_each<T>(hook.name, payloads);
  }
  /// Of one item. Throws `std::out_of_range`.
  template <class Payload>
  void emit(std::size_t item, std::string_view hook, Payload&& payload) const {
    emit_one(item, hook, std::any(std::forward<Payload>(payload)));
  }
  template <class T, class Payload>
  void emit(std::size_t item, const Hook<T>& hook, Payload&& payload) const {
    static_assert(std::convertible_to<Payload, T>,
                  "batching: emit(item, hook, payload): the payload must be of the hook's type");
    emit_one(item, hook.name, std::any(std::in_place_type<T>, std::forward<Payload>(payload)));
  }
  /// Every caller of the batch hears it once.
  template <class Payload>
  void broadcast(std::string_view hook, Payload&& payload) const {
    if (!audience().empty()) audience().broadcast(running().info.id, hook, std::any(std::forward<Payload>(payload)));
  }
  template <class T, class Payload>
  void broadcast(const Hook<T>& hook, Payload&& payload) const {
    static_assert(std::convertible_to<Payload, T>,
                  "batching: broadcast(hook, payload): the payload must be of the hook's type");
    if (!audience().empty()) {
      audience().broadcast(running().info.id, hook.name,
                           std::any(std::in_place_type<T>, std::forward<Payload>(payload)));
    }
  }

 private:
  friend Derived;
  Emits() = default;

  [[nodiscard]] Running& running() const noexcept { return static_cast<const Derived&>(*this).running(); }
  [[nodiscard]] const Audience& audience() const noexcept { return running().audience; }

  template <class T, class Payloads>
  void emit_each(std::string_view hook, Payloads& payloads) const {
    if (audience().empty()) return;
    std::vector<std::any> all;
    for (auto&& payload : payloads) {
      if constexpr (std::same_as<T, std::any>) {
        all.push_back(payload);
      } else {
        all.emplace_back(std::in_place_type<T>, payload);
      }
    }
    if (all.size() != running().info.size) {
      throw std::invalid_argument("batching: emit(\"" + std::string(hook) +
                                  "\"): payloads must be one for each of the " + std::to_string(running().info.size) +
                                  " items, but are " + std::to_string(all.size()));
    }
    audience().emit(running().info.id, hook, 0, all);
  }
  void emit_one(std::size_t item, std::string_view hook, const std::any& payload) const {
    if (audience().empty()) return;
    if (item >= running().info.size) {
      throw std::out_of_range("batching: emit(\"" + std::string(hook) + "\"): item is " + std::to_string(item) +
                              ", but the batch has " + std::to_string(running().info.size) + " items");
    }
    audience().emit(running().info.id, hook, item, {&payload, 1});
  }
};

}  // namespace batching::detail
