// ContextWatch: tells batchers that the execution context under them is being destroyed.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/when_used.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace batching::detail {

/// A context destroys what is queued on it without a word. This list, kept by a service of the context, is how a
/// batcher hears of it while its timer can still be taken down and its callers answered.
template <class>
class BasicContextWatch {
 public:
  /// `abandon()` of the owner will be called if the context goes first. An owner that goes first has to `leave`.
  template <class Executor, class Owner>
  [[nodiscard]] static std::shared_ptr<BasicContextWatch> of(const Executor& executor,
                                                             const std::weak_ptr<Owner>& owner) {
    auto watch = net::use_service<Service>(net::query(executor, net::execution::context)).watch;
    const std::lock_guard lock(watch->mutex_);
    watch->entries_.push_back({owner.lock().get(), [owner] {
                                 const auto alive = owner.lock();
                                 if (alive) alive->abandon();
                                 return alive != nullptr;
                               }});
    return watch;
  }
  /// The owner is being destroyed. If the context is still there, it stays until `last()` has returned.
  template <class F>
  void leave(const void* owner, F last) noexcept {
    {
      const std::lock_guard lock(mutex_);
      if (!knows(owner)) return;
      last();
      forget(owner);
    }
    left_.notify_all();
  }

 private:
  class Service final : public net::execution_context::service {
   public:
    using key_type = Service;
    static inline net::execution_context::id id;

    explicit Service(net::execution_context& context) : net::execution_context::service(context) {}
    std::shared_ptr<BasicContextWatch> watch = std::make_shared<BasicContextWatch>();

   private:
    void shutdown() override {
      std::unique_lock lock(watch->mutex_);
      while (!watch->entries_.empty()) {
        const Entry entry = watch->entries_.back();
        lock.unlock();
        const bool abandoned = entry.abandon();
        lock.lock();
        if (abandoned) {
          watch->forget(entry.owner);
        } else {
          // Its destructor is at work on another thread, and needs this context for a moment longer.
          watch->left_.wait(lock, [&] { return !watch->knows(entry.owner); });
        }
      }
    }
  };
  struct Entry {
    const void* owner;
    std::function<bool()> abandon;  // false if the owner is gone, or going
  };

  [[nodiscard]] bool knows(const void* owner) const noexcept {
    for (const Entry& entry : entries_) {
      if (entry.owner == owner) return true;
    }
    return false;
  }
  void forget(const void* owner) noexcept {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.owner == owner; });
  }

  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<Entry> entries_;
};
using ContextWatch = BasicContextWatch<WhenUsed>;

}  // namespace batching::detail
