// Tests of Queue, compared with a queue of the standard library's.
// SPDX-License-Identifier: BSL-1.0
#include <batching/detail/queue.hpp>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <random>
#include <utility>

#include "catch.hpp"

namespace {

using batching::detail::Queue;

TEST_CASE("a queue holds what a deque holds") {
  std::mt19937 random(1);
  Queue<std::unique_ptr<int>> queue;
  std::deque<int> deque;
  std::size_t longest = 0;
  for (int i = 0; i < 20000; ++i) {
    const unsigned grows = i % 2000 < 1000 ? 6 : 4;  // of ten
    if (random() % 10 < grows) {
      queue.push(std::make_unique<int>(i));
      deque.push_back(i);
    } else if (!deque.empty()) {
      CHECK(*queue.pop() == deque.front());
      deque.pop_front();
    }
    REQUIRE(queue.size() == deque.size());
    REQUIRE(queue.empty() == deque.empty());
    if (deque.empty()) continue;
    const std::size_t at = random() % deque.size();
    REQUIRE(*queue[at] == deque[at]);
    REQUIRE(*queue.front() == deque.front());
    REQUIRE(*queue.back() == deque.back());
    REQUIRE(std::equal(queue.begin(), queue.end(), deque.begin(), deque.end(),
                       [](const auto& one, int other) { return *one == other; }));
    longest = deque.size() > longest ? deque.size() : longest;
  }
  CHECK(longest > 100);
  queue.clear();
  CHECK(queue.empty());
  queue.push(nullptr);
  CHECK(queue.pop() == nullptr);
}

TEST_CASE("few elements of a queue move for each that leaves") {
  int moves = 0;
  struct Counted {
    explicit Counted(int& of) noexcept : moves(&of) {}
    Counted(Counted&& other) noexcept : moves(other.moves) { ++*moves; }
    Counted& operator=(Counted&& other) noexcept {
      moves = other.moves;
      ++*moves;
      return *this;
    }
    ~Counted() = default;
    int* moves;
  };
  constexpr int size = 1024;
  Queue<Counted> queue;
  for (int i = 0; i < size; ++i) queue.push(Counted(moves));
  moves = 0;
  for (int i = 0; i < size; ++i) {
    (void)queue.pop();
    queue.push(Counted(moves));
  }
  CHECK(queue.size() == size);
  CHECK(moves < 8 * size);
}

}  // namespace
