// Completion: a handler that waits for its call's end, and the recipe by which it is called: Asio's.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/when_used.hpp>

#include <concepts>
#include <exception>
#include <memory>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace batching::detail {

class CompletionList;

/// A handler with its arguments, ready to be called. Owns itself: it is gone after `complete` or `discard`.
class Completion {
 public:
  Completion* next = nullptr;

  /// Calls the handler, whose exceptions leave here. On the handler's executor.
  virtual void complete() = 0;
  /// Destroys the handler uncalled: its executor is no more.
  virtual void discard() noexcept = 0;
  /// Of handlers that do not run on the batcher's own executor: do these two run on the same?
  [[nodiscard]] virtual bool same_executor(const Completion& other) const noexcept = 0;
  /// An executor without its type; comparable with another of equal tag.
  struct AnyExecutor {
    const void* tag;
    const void* executor;
  };
  [[nodiscard]] virtual AnyExecutor executor() const noexcept = 0;
  /// Sends the list, this one first in it, to this one's executor.
  virtual void submit(CompletionList list, bool may_run_here) = 0;

 protected:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  ~Completion() = default;
};

/// First in, first out; owns what is in it.
class CompletionList {
 public:
  CompletionList() = default;
  CompletionList(CompletionList&& other) noexcept : first_(other.first_), last_(other.last_) {
    other.first_ = other.last_ = nullptr;
  }
  CompletionList& operator=(CompletionList&&) = delete;
  ~CompletionList() { clear(); }

  void clear() noexcept {
    while (!empty()) pop().discard();
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Completion& front() const noexcept { return *first_; }
  void push(Completion& completion) noexcept {
    completion.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &completion;
    last_ = &completion;
  }
  Completion& pop() noexcept {
    Completion& completion = *first_;
    first_ = completion.next;
    if (first_ == nullptr) last_ = nullptr;
    return completion;
  }

 private:
  Completion* first_ = nullptr;
  Completion* last_ = nullptr;
};

/// The executor inside, if it is of this type; Asio 1.22's own `target` does not look.
template <class Executor>
[[nodiscard]] const Executor* target_of(const net::any_io_executor& any) noexcept {
  if constexpr (std::same_as<decltype(any.target_type()), const std::type_info&>) {
    return any.target_type() == typeid(Executor) ? any.target<Executor>() : nullptr;
  } else {
    return nullptr;  // without type information: everything is foreign
  }
}

/// An exception from a handler leaves through its executor, as Asio lets it: out of `io_context::run`. Elsewhere, on a
/// thread pool, nobody could catch it and the process would end; there it is dropped.
template <class Executor>
[[nodiscard]] bool surfaces_exceptions(const Executor& executor) {
  using Io = Late<net::io_context::executor_type, Executor>;
  using Tracked = std::decay_t<decltype(net::prefer(std::declval<Io>(), net::execution::outstanding_work.tracked))>;
  if constexpr (std::same_as<Executor, net::any_io_executor>) {
    const auto* nested = target_of<net::strand<net::any_io_executor>>(executor);
    return target_of<Io>(executor) != nullptr || target_of<Tracked>(executor) != nullptr ||
           target_of<net::strand<Io>>(executor) != nullptr || target_of<net::strand<Tracked>>(executor) != nullptr ||
           (nested != nullptr && surfaces_exceptions(nested->get_inner_executor()));
  } else if constexpr (requires { executor.get_inner_executor(); }) {
    return surfaces_exceptions(executor.get_inner_executor());
  } else {
    return requires {
      { net::query(executor, net::execution::context) } -> std::same_as<net::io_context&>;
    };
  }
}

/// An executor that throws takes nothing: what it was given is destroyed uncalled. Nobody else is to notice.
template <class F>
void unless_refused(F f) noexcept {
  try {
    f();
  } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody to tell
  }
}

/// Calls them all; one that throws does not stop the others.
template <class Executor>
void complete_all(CompletionList& list, const Executor& executor, bool surface) {
  while (!list.empty()) {
    try {
      list.pop().complete();
    } catch (...) {
      // Thrown from an operation of its own, so that every exception surfaces and every other handler runs.
      if (!surface) continue;
      unless_refused(
          [&] { net::post(executor, [error = std::current_exception()] { std::rethrow_exception(error); }); });
    }
  }
}

/// The operation that is posted: one for all handlers of a batch on one executor.
template <class Executor, class Allocator>
class CompletionGroup {
 public:
  using allocator_type = Allocator;

  CompletionGroup(CompletionList list, const Executor& executor, bool surface, const Allocator& allocator)
      : list_(std::move(list)), executor_(executor), surface_(surface), allocator_(allocator) {}

  [[nodiscard]] allocator_type get_allocator() const noexcept { return allocator_; }
  void operator()() { complete_all(list_, executor_, surface_); }

 private:
  CompletionList list_;
  Executor executor_;
  bool surface_;
  [[no_unique_address]] Allocator allocator_;
};

/// One address for each executor type.
template <class>
inline const char executor_tag = 0;

/// Stands for the batcher's executor where a handler is asked for its own.
struct Home {};

/// A handler with what belongs to it: its executor, kept busy until the handler was called, its allocator, its slot.
template <class Handler>
class HandlerHolder {
 public:
  using Allocator = net::associated_allocator_t<Handler, RecyclingAllocator<void>>;

  HandlerHolder(Handler&& handler, const net::any_io_executor& home)
      : handler_(std::move(handler)),
        allocator_(net::get_associated_allocator(handler_, RecyclingAllocator<void>())),
        where_(handler_, home) {}

  [[nodiscard]] Handler& handler() noexcept { return handler_; }
  [[nodiscard]] const Allocator& allocator() const noexcept { return allocator_; }

  [[nodiscard]] bool home() const noexcept { return where_.home; }
  [[nodiscard]] Completion::AnyExecutor executor() const noexcept {
    if constexpr (always_home) {
      return {};
    } else {
      return {&executor_tag<Away>, &where_.away};
    }
  }
  [[nodiscard]] bool same_executor([[maybe_unused]] const Completion& other) const noexcept {
    if constexpr (always_home) {
      return false;
    } else {
      const Completion::AnyExecutor its = other.executor();
      return its.tag == &executor_tag<Away> && where_.away == *static_cast<const Away*>(its.executor);
    }
  }

  void submit([[maybe_unused]] CompletionList list, [[maybe_unused]] bool may_run_here) {
    if constexpr (!always_home) {
      const Away executor = where_.away;  // the list owns this holder
      CompletionGroup group(std::move(list), executor, surfaces_exceptions(executor), allocator_);
      if (may_run_here) {
        net::dispatch(executor, std::move(group));
      } else {
        net::post(executor, std::move(group));
      }
    }
  }

  /// A slot that still pointed here could cancel whatever is built in this place next.
  void clear_slot() noexcept {
    auto slot = net::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) slot.clear();
  }

 private:
  static constexpr bool always_home = std::same_as<net::associated_executor_t<Handler, Home>, Home>;
  using Executor = std::conditional_t<always_home, net::any_io_executor, net::associated_executor_t<Handler, Home>>;
  using Away =
      std::decay_t<decltype(net::prefer(std::declval<const Executor&>(), net::execution::outstanding_work.tracked))>;

  /// No executor of its own: nothing to keep.
  struct AtHome {
    AtHome(const Handler&, const net::any_io_executor&) noexcept {}
    static constexpr bool home = true;
  };
  /// Its own, which may be the batcher's all the same. That one the batcher itself keeps busy while calls are in
  /// flight.
  struct Anywhere {
    Anywhere(const Handler& handler, const net::any_io_executor& batchers)
        : Anywhere(net::associated_executor<Handler, Home>::get(handler, Home{}), batchers) {}
    Anywhere(const Executor& executor, const net::any_io_executor& batchers)
        : home(is_home(executor, batchers)), away(keep_busy(executor, home)) {}

    static bool is_home(const Executor& executor, const net::any_io_executor& batchers) noexcept {
      if constexpr (std::same_as<Executor, net::any_io_executor>) {
        return executor == batchers;
      } else {
        const auto* target = target_of<Executor>(batchers);
        return target != nullptr && *target == executor;
      }
    }
    static Away keep_busy(const Executor& executor, bool at_home) {
      if constexpr (std::same_as<Away, net::any_io_executor>) {
        if (at_home) return Away();
      }
      return net::prefer(executor, net::execution::outstanding_work.tracked);
    }

    bool home;
    Away away;
  };

  Handler handler_;
  [[no_unique_address]] Allocator allocator_;
  [[no_unique_address]] std::conditional_t<always_home, AtHome, Anywhere> where_;
};

/// The completion of one handler: it is called where that wants to be.
template <class Handler>
class HandlerCompletion : public Completion {
 public:
  [[nodiscard]] bool same_executor(const Completion& other) const noexcept final {
    return holder_.same_executor(other);
  }
  [[nodiscard]] AnyExecutor executor() const noexcept final { return holder_.executor(); }
  void submit(CompletionList list, bool may_run_here) final { holder_.submit(std::move(list), may_run_here); }

 protected:
  HandlerCompletion(Handler&& handler, const net::any_io_executor& home) : holder_(std::move(handler), home) {}
  ~HandlerCompletion() = default;

  HandlerHolder<Handler> holder_;
};

}  // namespace batching::detail
