// CallOptions: what one call may ask for beside its item.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/hook.hpp>

#include <chrono>
#include <functional>
#include <optional>

namespace batching {

struct CallOptions {
  /// The higher goes first among all who wait, then who came first; not with whoever came before a `flush`. Nobody
  /// starves: when 64 batches in a row have left without anybody of some priority who waits, the next begins with
  /// those.
  int priority = 0;
  /// Longest the whole call may take, running included, on the batcher's clock; then the caller hears
  /// `errc::timed_out`, and an item that still waits never reaches the batch function. Without a value: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
  /// Is told what the batch function emits for the items of this call, on the thread that emits, one thing at a time;
  /// what it throws is dropped. It may still be called, as long as the batch runs, when the call has been cancelled or
  /// has timed out: let it own what it uses. An item that joined one that ran already (`dedup::exact::join_running`)
  /// hears nothing.
  std::function<void(const HookEvent&)> on_hook{};
};

}  // namespace batching
