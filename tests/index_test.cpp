// Tests of Index: entries by their hash, compared with a map of the standard library's.
// SPDX-License-Identifier: BSL-1.0
#include <batching/detail/index.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "catch.hpp"

namespace {

using batching::detail::Index;
using batching::detail::Indexed;

struct Entry : Indexed {
  std::uint64_t key = 0;
};

[[nodiscard]] Entry* find(const Index& index, std::uint64_t key, std::size_t hash) {
  return static_cast<Entry*>(
      index.find(hash, [&](const Indexed& entry) { return static_cast<const Entry&>(entry).key == key; }));
}

TEST_CASE("an index finds what a map finds, for good hash functions and bad ones") {
  const std::uint64_t different_hashes = GENERATE(1U, 7U, 1U << 30U);
  const auto hash = [&](std::uint64_t key) { return static_cast<std::size_t>(key % different_hashes) << 20U; };
  std::mt19937_64 random(different_hashes);
  std::deque<Entry> entries(500);
  std::multimap<std::uint64_t, Entry*> map;
  Index index;
  for (int i = 0; i < 20'000; ++i) {
    Entry& entry = entries[random() % entries.size()];
    bool is_in = false;
    for (auto [at, end] = map.equal_range(entry.key); at != end; ++at) {
      if (at->second != &entry) continue;
      is_in = true;
      map.erase(at);
      break;
    }
    if (index.remove(entry) != is_in) FAIL("step " << i);
    if (!is_in || random() % 3 != 0) {
      entry.key = random() % 100;
      index.add(entry, hash(entry.key));
      map.emplace(entry.key, &entry);
    }
    const std::uint64_t key = random() % 100;
    const Entry* found = find(index, key, hash(key));
    if ((found != nullptr) != map.contains(key)) FAIL("step " << i);
    if (found != nullptr && found->key != key) FAIL("step " << i);
    if (index.size() != map.size()) FAIL("step " << i);
  }
  std::set<Indexed*> all;
  index.for_each([&](Indexed& entry) { all.insert(&entry); });
  CHECK(all.size() == map.size());
  index.clear();
  CHECK(index.size() == 0);
  CHECK(find(index, 1, hash(1)) == nullptr);
}

TEST_CASE("an entry that is in no index, or another one, is not removed") {
  Index one;
  Index other;
  Entry entry;
  CHECK_FALSE(one.remove(entry));
  other.add(entry, 5);
  CHECK_FALSE(one.remove(entry));
  CHECK(find(other, 0, 5) == &entry);
}

}  // namespace
