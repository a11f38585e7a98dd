// The signal handler.
// SPDX-License-Identifier: BSL-1.0
#include "interrupt.hpp"

#include <atomic>
#include <csignal>

namespace {

std::atomic<int> caught = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not wait for a lock");

extern "C" void remember(int signal) { caught.store(signal, std::memory_order_relaxed); }

}  // namespace

void watch_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = remember;
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int caught_signal() noexcept { return caught.load(std::memory_order_relaxed); }
