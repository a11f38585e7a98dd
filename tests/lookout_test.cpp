// Lookout: when it is worth while to look out for more work, and that it ends.
// SPDX-License-Identifier: BSL-1.0

#include <batching/batching.hpp>
#include <batching/detail/lookout.hpp>

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

#include "catch.hpp"

namespace {

using batching::detail::Lookout;
using namespace std::chrono_literals;

/// Occasions that are let go by before it looks out again.
std::size_t skipped(Lookout& lookout) {
  std::size_t skipped = 0;
  while (!lookout.is_promising()) ++skipped;
  return skipped;
}

/// A clock that goes on by 20 ns whenever somebody looks at it.
struct Ticking {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Ticking>;
  static time_point now() noexcept { return time += 20ns; }

  static inline time_point time{};
};

}  // namespace

TEST_CASE("a lookout that is in vain is tried again half as often, down to every thousandth time") {
  Lookout lookout;
  CHECK(lookout.is_promising());
  std::vector<std::size_t> all;
  for (int i = 0; i < 12; ++i) all.push_back(skipped(lookout));
  CHECK(all == std::vector<std::size_t>{1, 3, 7, 15, 31, 63, 127, 255, 511, 1023, 1023, 1023});
  lookout.found();
  CHECK(skipped(lookout) == 0);
  CHECK(skipped(lookout) == 1);
}

TEST_CASE("a lookout ends when there is something, or after a moment") {
  int asked = 0;
  Ticking::time = {};
  CHECK(Lookout::wait<Ticking>([&] { return ++asked == 3; }));
  CHECK(asked == 3);
  CHECK(Ticking::time.time_since_epoch() < Lookout::moment);
  asked = 0;
  auto start = Ticking::time;
  CHECK_FALSE(Lookout::wait<Ticking>([&] { return ++asked == 0; }));
  CHECK(Ticking::time - start >= Lookout::moment);
  CHECK(Ticking::time - start <= Lookout::moment + 200ns);
  CHECK(asked == 151);  // every 200 ns, and at the end
  asked = 0;
  start = Ticking::time;
  CHECK_FALSE(Lookout::wait<Ticking>([&] { return ++asked == 0; }, start + 1us));
  CHECK(asked == 6);
  asked = 0;
  CHECK_FALSE(Lookout::wait<Ticking>([&] { return ++asked == 2; }, start));  // it is over
  CHECK(asked == 1);
  CHECK(Lookout::wait<Ticking>([] { return true; }, start));
}

// The thread that looks out is the one that has to see each of these, whenever it comes.
TEST_CASE("whatever comes while a thread looks out is seen") {
  using Squares = batching::Batcher<int, int>;
  const auto square = [](std::span<const int> numbers) {
    std::vector<int> squares;
    for (const int n : numbers) squares.push_back(n * n);
    return squares;
  };
  const auto pause = [](int n) {
    const auto end = std::chrono::steady_clock::now() + (n % 23) * 1us;  // about as long as a thread looks out
    while (std::chrono::steady_clock::now() < end) continue;
  };
  Squares squares(square, {.batch_size = 64, .batch_timeout = 0ms});
  int wrong = 0;
  for (int n = 0; n < 20'000; ++n) {
    pause(n);
    auto future = n % 5 == 0 ? squares.dispatch(n, {.timeout = 1h}) : squares.dispatch(n);
    if (n % 7 == 0) squares.flush();
    if (n % 11 == 0) (void)squares.stats();
    if (n % 13 == 0) {
      (void)future.cancel();
      continue;
    }
    wrong += future.get() == n * n ? 0 : 1;
  }
  CHECK(wrong == 0);
  for (int n = 0; n < 200; ++n) {  // also the end of the batcher
    Squares brief(square, {.batch_size = 64, .batch_timeout = 0ms});
    auto future = brief.dispatch(n);
    wrong += future.get() == n * n ? 0 : 1;
    pause(n);
    auto last = brief.dispatch(n);
    if (n % 2 == 0) brief.close();
  }
  CHECK(wrong == 0);
}
