// Reporting: several users share batches, and each wants to know the cost of their own items. The three ways to tell.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

struct Chunk {
  std::string user;
  std::string text;
};

constexpr batching::Hook<double> cost{"cost"};
constexpr batching::Hook<std::pair<std::string, double>> cost_of{"cost of"};
struct BatchCost {
  double all;
  std::size_t items;
};
constexpr batching::Hook<BatchCost> batch_cost{"batch cost"};

/// What each user has heard that their chunks cost, in each of the three ways.
class Bill {
 public:
  void add(const std::string& user, const std::string& way, double amount) {
    const std::lock_guard lock(mutex_);
    amounts_[user][way] += amount;
  }
  [[nodiscard]] std::map<std::string, std::map<std::string, double>> amounts() {
    const std::lock_guard lock(mutex_);
    return amounts_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, double>> amounts_;
};

int main() {
  constexpr double start = 6;  // of a batch
  const auto bill = std::make_shared<Bill>();
  batching::Batcher<Chunk, std::size_t> embedder(
      [&](std::span<const Chunk> chunks, batching::BatchContext& context) {
        std::vector<double> costs;
        std::map<std::string, double> by_user;
        double all = start;
        std::vector<std::size_t> outputs;
        for (const Chunk& chunk : chunks) {
          const auto its = static_cast<double>(chunk.text.size());
          costs.push_back(its);
          by_user[chunk.user] += its;
          all += its;
          outputs.push_back(chunk.text.size());
        }
        // 1. A figure for each item; every caller adds up its own. Right where an item's share can be measured.
        context.emit(cost, costs);
        // 2. A figure for each user, told to all with the name on it; each picks its own. Right for figures that are
        //    per user to begin with (a quota, a cache). But everybody sees everybody's name.
        for (const auto& entry : by_user) context.broadcast(cost_of, entry);
        // 3. A figure for the batch, told to all; each takes the share that its items have in it (or their weight).
        //    Right where only the whole is known: money, energy, the time of one call.
        context.broadcast(batch_cost, BatchCost{all, chunks.size()});
        return outputs;
      },
      {.batch_size = 4, .batch_timeout = 1s});

  std::vector<batching::Future<std::vector<std::size_t>>> answers;
  const auto submit = [&](const std::string& user, const std::vector<std::string>& texts) {
    std::vector<Chunk> chunks;
    chunks.reserve(texts.size());
    for (const std::string& text : texts) chunks.push_back({user, text});
    batching::CallOptions options;
    options.on_hook = [bill, user](const batching::HookEvent& event) {
      if (event.is(cost)) {
        for (std::size_t i = 0; i < event.items; ++i) bill->add(user, "item by item", event.payload(cost, i));
      } else if (event.is(cost_of) && event.payload(cost_of).first == user) {
        bill->add(user, "by name", event.payload(cost_of).second);
      } else if (event.is(batch_cost)) {
        const BatchCost& batch = event.payload(batch_cost);
        bill->add(user, "by share", batch.all * static_cast<double>(event.items) / static_cast<double>(batch.items));
      }
    };
    answers.push_back(embedder.dispatch_many(std::move(chunks), options));
  };
  submit("Ada", {"two"});
  submit("Bob", {"seven", "eleven"});
  submit("Cy", {"nineteen"});
  for (auto& answer : answers) answer.wait();

  for (const auto& [user, ways] : bill->amounts()) {
    std::cout << user << ":";
    for (const auto& [way, amount] : ways) std::cout << "  " << way << " " << amount;
    std::cout << '\n';
  }
  const auto bob = bill->amounts().at("Bob");
  return bob.at("item by item") == 11 && bob.at("by name") == 11 && bob.at("by share") == 14 ? 0 : 1;
}
