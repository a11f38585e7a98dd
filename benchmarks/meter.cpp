// Counts allocations and futex calls, and asks the system for the rest.
// SPDX-License-Identifier: BSL-1.0
#include "meter.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <new>

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>

namespace {

// Spread out, so that counting does not make threads wait for one another.
struct alignas(64) Counters {
  std::atomic<std::size_t> allocations = 0;
  std::atomic<std::size_t> futex_calls = 0;
  std::atomic<std::int64_t> live_bytes = 0;
};
std::array<Counters, 64> all_counters;
std::atomic<std::size_t> threads = 0;
thread_local Counters* mine = nullptr;

Counters& counters() noexcept {
  if (mine == nullptr) mine = &all_counters[threads.fetch_add(1) % all_counters.size()];
  return *mine;
}

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  counters().allocations.fetch_add(1, std::memory_order_relaxed);
  counters().live_bytes.fetch_add(static_cast<std::int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  return memory;
}
void release(void* memory) noexcept {
  if (memory == nullptr) return;
  counters().live_bytes.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)), std::memory_order_relaxed);
  std::free(memory);
}

void count_futex_call() noexcept { counters().futex_calls.fetch_add(1, std::memory_order_relaxed); }

template <class Counter>
auto sum(Counter Counters::*counter) noexcept {
  decltype((all_counters[0].*counter).load()) total = 0;
  for (const Counters& each : all_counters) total += (each.*counter).load(std::memory_order_relaxed);
  return total;
}

double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

void* operator new(std::size_t size) { return counted(std::malloc(size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto multiple = static_cast<std::size_t>(alignment);
  return counted(std::aligned_alloc(multiple, (size + multiple - 1) / multiple * multiple));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }

// The linker puts these in the place of the functions (its option --wrap), for all that is compiled into this program:
// Asio and the library are. The names are the linker's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" {

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...) {
  if (number == SYS_futex) count_futex_call();
  std::va_list list;
  va_start(list, number);
  std::array<long, 6> arguments{};
  for (long& argument : arguments) argument = va_arg(list, long);
  va_end(list);
  return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

int __real_pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex);
int __wrap_pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  count_futex_call();
  return __real_pthread_cond_wait(condition, mutex);
}
int __real_pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* limit);
int __wrap_pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* limit) {
  count_futex_call();
  return __real_pthread_cond_timedwait(condition, mutex, limit);
}
int __real_pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                  const timespec* limit);
int __wrap_pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                                  const timespec* limit) {
  count_futex_call();
  return __real_pthread_cond_clockwait(condition, mutex, clock, limit);
}
int __real_pthread_cond_signal(pthread_cond_t* condition);
int __wrap_pthread_cond_signal(pthread_cond_t* condition) {
  count_futex_call();
  return __real_pthread_cond_signal(condition);
}
int __real_pthread_cond_broadcast(pthread_cond_t* condition);
int __wrap_pthread_cond_broadcast(pthread_cond_t* condition) {
  count_futex_call();
  return __real_pthread_cond_broadcast(condition);
}
int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  const int result = pthread_mutex_trylock(mutex);
  if (result != EBUSY) return result;
  count_futex_call();  // to sleep
  count_futex_call();  // to be woken
  return __real_pthread_mutex_lock(mutex);
}

// std::condition_variable's, in the C++ library.
void __real__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(void* self, void* lock);
void __wrap__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(void* self, void* lock) {
  count_futex_call();
  __real__ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE(self, lock);
}
void __real__ZNSt18condition_variable10notify_oneEv(void* self);
void __wrap__ZNSt18condition_variable10notify_oneEv(void* self) {
  count_futex_call();
  __real__ZNSt18condition_variable10notify_oneEv(self);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

std::size_t allocations() noexcept { return sum(&Counters::allocations); }
std::size_t live_bytes() noexcept { return static_cast<std::size_t>(sum(&Counters::live_bytes)); }
std::size_t futex_calls() noexcept { return sum(&Counters::futex_calls); }

Usage Usage::now() noexcept {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const std::chrono::duration<double> time = std::chrono::steady_clock::now().time_since_epoch();
  return {time.count(), to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime), static_cast<double>(usage.ru_nvcsw)};
}

Sample Meter::per_item(std::size_t items) const {
  const std::size_t allocated = allocations() - allocations_;
  const std::size_t called = futex_calls() - futex_calls_;
  const Usage end = Usage::now();
  const auto count = static_cast<double>(items);
  return {{"ns per item", (end.seconds - begin_.seconds) * 1e9 / count},
          {"cpu ns", (end.processor_seconds - begin_.processor_seconds) * 1e9 / count},
          {"switches", (end.switches - begin_.switches) / count},
          {"futex calls", static_cast<double>(called) / count},
          {"allocations", static_cast<double>(allocated) / static_cast<double>(items - warm_up_)}};
}
