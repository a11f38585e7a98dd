// SharedCall: one item that runs for the calls of several twins.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/call.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/fingerprint.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

namespace batching::detail {

/// Stands for them in their batch, and passes its answer on to each. The strand may add to them until it is there.
template <class Used>
class BasicSharedCall : public Call, public Indexed {
 public:
  /// `joinable`: the strand holds a reference until the batch is over.
  BasicSharedCall(bool joinable) noexcept : Call(1, joinable, joinable ? 2 : 1) {}

  /// One more that gets the answer. False: it is there already.
  [[nodiscard]] bool join(const Slice& slice) {
    auto* member = create<Member>(RecyclingAllocator<void>(), slice, members_.load());
    do {
      if (member->next == &answered_) {
        detail::destroy(member, RecyclingAllocator<void>());
        return false;
      }
    } while (!members_.compare_exchange_weak(member->next, member));
    return true;
  }

  /// For the strand, of one that can be joined.
  Fingerprint::Ptr fingerprint;
  Running* running = nullptr;

 protected:
  struct Member {
    Member(const Slice& its, Member* older) noexcept : slice(its), next(older) {}
    Slice slice;
    Member* next;
  };

  ~BasicSharedCall() override {
    Member* member = members_.load();
    if (member == &answered_) return;
    while (member != nullptr) drop(std::exchange(member, member->next));
  }
  /// Who is to be answered, in the order in which they came.
  [[nodiscard]] Member* members() noexcept {
    Member* newest = members_.exchange(&answered_);
    Member* oldest = nullptr;
    while (newest != nullptr) {
      Member* older = newest->next;
      newest->next = std::exchange(oldest, newest);
      newest = older;
    }
    return oldest;
  }
  static void drop(Member* member) noexcept { detail::destroy(member, RecyclingAllocator<void>()); }
  static Call& call(const Member& member) noexcept { return static_cast<Call&>(*member.slice.call); }

 private:
  static inline Member answered_{{}, nullptr};
  Late<std::atomic<Member*>, Used> members_ = nullptr;
};

template <class In, class Out>
class SharedCallOf final : public SharedCall {
 public:
  using Value = Stored<Out>;
  SharedCallOf(In& input, bool joinable) noexcept : SharedCall(joinable), input_(input) {}

  [[nodiscard]] void* inputs() noexcept override { return &input_; }
  void values(std::size_t, void* outputs, std::size_t, Delivery& delivery) override {
    auto* output = static_cast<Value*>(outputs);
    for (Member* member = members(); member != nullptr; drop(std::exchange(member, member->next))) {
      if (member->next == nullptr) {
        call(*member).values(member->slice.first, output, 1, delivery);
      } else {
        copy_to(*member, *output, delivery);
      }
    }
    end(delivery);
  }
  void fail(const std::exception_ptr& error, std::size_t, Answered how, Delivery& delivery) override {
    for (Member* member = members(); member != nullptr; drop(std::exchange(member, member->next))) {
      call(*member).fail(error, 1, how, delivery);
    }
    end(delivery);
  }
  void forget(std::size_t, Delivery&) override {}
  void put_error(std::exception_ptr) noexcept override {}
  void publish(Delivery&) override {}

 private:
  static void copy_to(Member& member, const Value& output, Delivery& delivery) {
    if constexpr (std::copy_constructible<Value>) {  // else there are no twins
      std::optional<Value> copy;
      std::exception_ptr error;
      try {
        copy.emplace(output);
      } catch (...) {
        error = std::current_exception();
      }
      if (error) return call(member).fail(error, 1, Answered::failed, delivery);
      call(member).values(member.slice.first, &*copy, 1, delivery);
    }
  }
  void destroy() noexcept override { detail::destroy(this, RecyclingAllocator<void>()); }

  In& input_;
};

}  // namespace batching::detail
