// Hooks: what a batch function tells its callers before their answers are there.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <any>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>

namespace batching {

/// The name of a hook whose payloads are of type `T`: with it, another type does not compile. `name` is a literal, or
/// outlives the hook.
template <class T>
struct Hook {
  std::string_view name;
};

/// What one caller hears of a hook: the payloads of its own items, in order.
struct HookEvent {
  std::string_view hook;                 ///< the name; valid during the call, like the rest
  std::size_t offset = 0;                ///< of the first of these items in the caller's call
  std::span<const std::any> payloads{};  ///< one for each item from there on; of a broadcast the one
  bool is_broadcast = false;             ///< of the whole batch, not of an item
  std::size_t items = 0;                 ///< of the caller: those in the payloads; of a broadcast all in the batch
  std::uint64_t batch = 0;               ///< `BatchInfo::id`

  [[nodiscard]] bool is(std::string_view name) const noexcept { return hook == name; }
  template <class T>
  [[nodiscard]] bool is(const Hook<T>& which) const noexcept {
    return hook == which.name;
  }
  /// A payload of this event. Throws `std::invalid_argument` where it is of another type, `std::out_of_range`.
  template <class T>
  [[nodiscard]] const T& payload(std::size_t index = 0) const {
    if (index >= payloads.size()) {
      throw std::out_of_range("batching::HookEvent::payload: index is " + std::to_string(index) + ", but there are " +
                              std::to_string(payloads.size()) + " payloads");
    }
    if (const T* payload = std::any_cast<T>(&payloads[index])) return *payload;
    throw std::invalid_argument("batching::HookEvent::payload: \"" + std::string(hook) + "\" has a payload of type " +
                                payloads[index].type().name() + ", not " + typeid(T).name());
  }
  template <class T>
  [[nodiscard]] const T& payload(const Hook<T>&, std::size_t index = 0) const {
    return payload<T>(index);
  }
};

}  // namespace batching
