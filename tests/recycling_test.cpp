// RecyclingAllocator: blocks go round, and none is in two hands.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/recycling.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "catch.hpp"

using batching::detail::RecyclingAllocator;

namespace {

struct Block {
  std::uint64_t owner;
  char rest[88];
};

}  // namespace

TEST_CASE("a block that was freed is the next one allocated") {
#if BATCHING_RECYCLE
  RecyclingAllocator<Block> allocator;
  Block* first = allocator.allocate(1);
  allocator.deallocate(first, 1);
  Block* second = allocator.allocate(1);
  CHECK(first == second);
  allocator.deallocate(second, 1);
#endif
}

TEST_CASE("sizes do not mix, large and overaligned ones are served too") {
  struct alignas(64) Aligned {
    char bytes[64];
  };
  struct Large {
    char bytes[5000];
  };
  RecyclingAllocator<Aligned> aligned;
  Aligned* at = aligned.allocate(3);
  CHECK(reinterpret_cast<std::uintptr_t>(at) % 64 == 0);
  aligned.deallocate(at, 3);
  RecyclingAllocator<Large> large;
  large.deallocate(large.allocate(1), 1);
  std::set<void*> distinct;
  RecyclingAllocator<char> bytes;
  std::vector<std::pair<char*, std::size_t>> blocks;
  for (std::size_t size = 1; size <= 600; ++size) {
    char* block = bytes.allocate(size);
    block[0] = block[size - 1] = 'x';
    CHECK(distinct.insert(block).second);
    blocks.emplace_back(block, size);
  }
  for (const auto& [block, size] : blocks) bytes.deallocate(block, size);
}

TEST_CASE("blocks allocated by one thread and freed by another are never in two hands") {
  constexpr std::uint64_t each = 30'000;
  std::mutex mutex;
  std::vector<Block*> passing;
  std::atomic<std::size_t> errors = 0;
  const auto allocate = [&](std::uint64_t owner) {
    for (std::uint64_t i = 0; i < each; ++i) {
      Block* block = RecyclingAllocator<Block>().allocate(1);
      block->owner = owner * each + i;
      const std::lock_guard lock(mutex);
      passing.push_back(block);
    }
  };
  std::set<std::uint64_t> seen;
  const auto free = [&] {
    for (std::uint64_t freed = 0; freed < 2 * each;) {
      std::vector<Block*> blocks;
      {
        const std::lock_guard lock(mutex);
        blocks.swap(passing);
      }
      for (Block* block : blocks) {
        if (!seen.insert(block->owner).second) ++errors;
        RecyclingAllocator<Block>().deallocate(block, 1);
        ++freed;
      }
      if (blocks.empty()) std::this_thread::yield();
    }
  };
  std::thread one(allocate, 0);
  std::thread other(allocate, 1);
  std::thread third(free);
  one.join();
  other.join();
  third.join();
  CHECK(errors == 0);
  CHECK(seen.size() == 2 * each);
}
