// Pool: the threads of a batcher that was given no executor.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace batching::detail {

/// One thread for each partition, and one more: while every partition is inside a blocking batch function, that one
/// keeps timers, deadlines and deliveries prompt. It sleeps otherwise: the strand asks to be woken only when there is
/// something to decide, and a batch is started by the thread that decided.
template <class L>
class BasicPool : public std::enable_shared_from_this<BasicPool<L>> {
 public:
  explicit BasicPool(std::size_t partitions)
      : context_(static_cast<int>(partitions + 1)), work_(context_.get_executor()) {}
  BasicPool(const BasicPool&) = delete;
  BasicPool& operator=(const BasicPool&) = delete;
  ~BasicPool() { leave(false); }

  [[nodiscard]] net::io_context::executor_type get_executor() noexcept { return context_.get_executor(); }

  /// `owner`: whose pool its threads belong to.
  void start(std::size_t partitions, const void* owner) {
    for (std::size_t i = 0; i < partitions + 1; ++i) {
      threads_.emplace_back([pool = this->shared_from_this(), owner] {
        const Inside inside(owner);
        for (;;) {
          try {
            pool->context_.run();
            return;
          } catch (...) {
            // What a user posted here by `get_executor` has thrown; nobody else can hear of it.
          }
        }
      });
    }
  }

  /// Lets the threads go when nothing is left to do; waits for them, unless this is one of them.
  void leave(bool wait) noexcept {
    work_.reset();
    for (std::thread& thread : threads_) {
      if (wait) {
        thread.join();
      } else {
        thread.detach();
      }
    }
    threads_.clear();
  }

 private:
  net::io_context context_;
  net::executor_work_guard<net::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};
using Pool = BasicPool<WhenUsed>;

}  // namespace batching::detail
