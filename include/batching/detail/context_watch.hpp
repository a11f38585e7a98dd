// ContextWatch: tells batchers that the execution context under them is being destroyed.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batching::detail {

/// A context destroys what is queued on it without a word. This list, kept by a service of the context, is how a
/// batcher hears of it while its timer can still be taken down and its callers answered.
class ContextWatch {
 public:
  /// `abandon()` of the owner will be called, if it still exists then. Dropping the returned pointer does not withdraw;
  /// `leave` does.
  template <class Owner>
  [[nodiscard]] static std::shared_ptr<ContextWatch> of(const net::any_io_executor& executor,
                                                        const std::weak_ptr<Owner>& owner) {
    auto watch = net::use_service<Service>(net::query(executor, net::execution::context)).watch;
    const std::lock_guard lock(watch->mutex_);
    watch->entries_.push_back({owner.lock().get(), [owner] {
                                 if (const auto alive = owner.lock()) alive->abandon();
                               }});
    return watch;
  }
  void leave(const void* owner) noexcept {
    const std::lock_guard lock(mutex_);
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.owner == owner; });
    if (entry == entries_.end()) return;
    std::swap(*entry, entries_.back());
    entries_.pop_back();
  }

 private:
  class Service final : public net::execution_context::service {
   public:
    using key_type = Service;
    static inline net::execution_context::id id;

    explicit Service(net::execution_context& context) : net::execution_context::service(context) {}
    std::shared_ptr<ContextWatch> watch = std::make_shared<ContextWatch>();

   private:
    void shutdown() override {
      std::vector<Entry> entries;
      {
        const std::lock_guard lock(watch->mutex_);
        entries.swap(watch->entries_);
      }
      for (const Entry& entry : entries) entry.gone();
    }
  };
  struct Entry {
    const void* owner;
    std::function<void()> gone;
  };

  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace batching::detail
