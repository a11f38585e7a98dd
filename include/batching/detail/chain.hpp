// Chain: calls that wait, one behind the other.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/waiting.hpp>

#include <utility>

namespace batching::detail {

/// The calls carry the links. Only those at its ends are known to a chain: one in the middle can be unlinked or
/// replaced through any.
struct Chain {
  Waiting* first = nullptr;
  Waiting* last = nullptr;

  [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
  [[nodiscard]] bool ends_in(const Waiting& call) const noexcept { return first == &call || last == &call; }

  [[gnu::always_inline]] void push(Waiting& call) noexcept { put(last, call, nullptr); }
  /// Behind those that arrived before it.
  void insert_by_time(Waiting& call) noexcept {
    Waiting* before = last;
    while (before != nullptr && before->arrived > call.arrived) before = before->before();
    put(before, call, before != nullptr ? before->behind() : first);
  }
  void unlink(const Waiting& call) noexcept {
    set_behind(call.before(), call.behind());
    set_before(call.behind(), call.before());
  }
  /// All that are before this one; all there are, if it is null.
  void unlink_before(Waiting* call) noexcept {
    first = call;
    set_before(call, nullptr);
  }
  void replace(const Waiting& call, Waiting& by) noexcept { put(call.before(), by, call.behind()); }
  /// All of another go to the end of this one.
  void append(Chain& other) noexcept {
    if (other.empty()) return;
    other.first->back = last;
    set_behind(last, other.first);
    last = other.last;
    other.first = other.last = nullptr;
  }

 private:
  [[gnu::always_inline]] void put(Waiting* before, Waiting& call, Waiting* behind) noexcept {
    call.back = before;
    call.next = behind;
    set_behind(before, &call);
    set_before(behind, &call);
  }
  /// What is behind this one, or the first of all.
  [[gnu::always_inline]] void set_behind(Waiting* call, Waiting* behind) noexcept {
    if (call != nullptr) {
      call->next = behind;
    } else {
      first = behind;
    }
  }
  /// What is before this one, or the last of all.
  [[gnu::always_inline]] void set_before(Waiting* call, Waiting* before) noexcept {
    if (call != nullptr) {
      call->back = before;
    } else {
      last = before;
    }
  }
};

}  // namespace batching::detail
