// Joinables: items whose batch runs, and whose answer an equal one may share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/fingerprint.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/shared_call.hpp>
#include <batching/detail/when_used.hpp>

#include <utility>

namespace batching::detail {

/// On the strand. Holds a reference of each, until its batch is over.
template <class Used>
class BasicJoinables {
 public:
  BasicJoinables() = default;
  BasicJoinables(const BasicJoinables&) = delete;
  BasicJoinables& operator=(const BasicJoinables&) = delete;
  ~BasicJoinables() {
    by_fingerprint_.for_each([](Indexed& entry) { static_cast<SharedCall&>(entry).release(); });
  }

  void add(Running& running, SharedCall& call, Fingerprint::Ptr fingerprint) {
    call.running = &running;
    call.fingerprint = std::move(fingerprint);
    by_fingerprint_.add(call, call.fingerprint->hash());
    running.joinables.push_back(&call);
  }
  [[nodiscard]] SharedCall* find(const Fingerprint& fingerprint) const {
    return static_cast<SharedCall*>(by_fingerprint_.find(fingerprint.hash(), [&](const Indexed& entry) {
      return static_cast<const SharedCall&>(entry).fingerprint->equals(fingerprint);
    }));
  }
  /// Nobody joins that batch any more.
  void forget(Running& running) noexcept {
    for (SharedCall* call : running.joinables) {
      by_fingerprint_.remove(*call);
      call->release();
    }
    running.joinables.clear();
  }

 private:
  Late<Index, Used> by_fingerprint_;
};
using Joinables = BasicJoinables<WhenUsed>;

}  // namespace batching::detail
