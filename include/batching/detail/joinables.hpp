// Joinables: items whose batch runs, and whose answer an equal one may share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/fingerprint.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/shared_call.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <unordered_map>
#include <utility>

namespace batching::detail {

/// On the strand. Holds a reference of each, until its batch is over.
class Joinables {
 public:
  Joinables() = default;
  Joinables(const Joinables&) = delete;
  Joinables& operator=(const Joinables&) = delete;
  ~Joinables() {
    for (const auto& entry : by_hash_) entry.second->release();
  }

  void add(Running& running, SharedCall& call, Fingerprint::Ptr fingerprint) {
    call.running = &running;
    call.fingerprint = std::move(fingerprint);
    by_hash_.emplace(call.fingerprint->hash(), &call);
    running.joinables.push_back(&call);
  }
  [[nodiscard]] SharedCall* find(const Fingerprint& fingerprint) const {
    const auto [first, last] = by_hash_.equal_range(fingerprint.hash());
    const auto at =
        std::find_if(first, last, [&](const auto& entry) { return entry.second->fingerprint->equals(fingerprint); });
    return at == last ? nullptr : at->second;
  }
  /// Nobody joins that batch any more.
  void forget(Running& running) noexcept {
    for (SharedCall* call : running.joinables) {
      const auto [first, last] = by_hash_.equal_range(call->fingerprint->hash());
      by_hash_.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == call; }));
      call->release();
    }
    running.joinables.clear();
  }

 private:
  std::unordered_multimap<std::size_t, SharedCall*, std::hash<std::size_t>, std::equal_to<>,
                          RecyclingAllocator<std::pair<const std::size_t, SharedCall*>>>
      by_hash_;
};

}  // namespace batching::detail
