// Keys: only requests of one tenant share a batch, and one who floods does not hold up the others. And priorities.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <atomic>
#include <chrono>
#include <iostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

struct Query {
  std::string tenant;
  int id = 0;
};

int main() {
  std::atomic<bool> mixed = false;
  batching::Batcher<Query, int> database(
      [&](std::span<const Query> queries) {
        std::this_thread::sleep_for(1ms);  // one round trip to the database of this tenant
        std::vector<int> rows;
        for (const Query& query : queries) {
          if (query.tenant != queries.front().tenant) mixed = true;
          rows.push_back(query.id);
        }
        return rows;
      },
      {.batch_size = 8, .batch_timeout = 1ms, .key = [](const Query& query) { return query.tenant; }});

  std::vector<batching::Future<int>> flood;
  flood.reserve(800);
  for (int id = 0; id < 800; ++id) flood.push_back(database.dispatch({"large", id}));
  auto rare = database.dispatch({"small", 7});
  auto urgent = database.dispatch({"large", 1000}, {.priority = 1});

  std::cout << "the small tenant has row " << rare.get() << " after " << database.stats().batches
            << " of 101 batches\n";
  std::cout << "the urgent query has row " << urgent.get() << " after " << database.stats().batches << '\n';
  for (auto& answer : flood) answer.get();
  return mixed || database.stats().batches > 110 ? 1 : 0;
}
