// A registry of models on one pool of threads: requests go by name, models come and go under load, and one that is
// stuck keeps nobody else from being served. SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <asio/thread_pool.hpp>

#include <atomic>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

class Registry {
 public:
  using Model = std::function<std::vector<double>(std::span<double>)>;

  explicit Registry(std::size_t threads) : pool_(threads) {}

  void add(const std::string& name, Model model) {
    const batching::Options options{.batch_size = 32, .batch_timeout = std::chrono::nanoseconds(0), .max_queued = 256};
    auto batcher = std::make_shared<Batcher>(pool_.get_executor(), std::move(model), options);
    const std::lock_guard lock(mutex_);
    models_.insert_or_assign(name, std::move(batcher));
  }
  /// Returns when all who have asked the model are answered.
  void remove(const std::string& name) {
    std::shared_ptr<Batcher> batcher;
    {
      const std::lock_guard lock(mutex_);
      if (const auto node = models_.extract(name)) batcher = node.mapped();
    }
    if (batcher) batcher->close();
  }
  batching::Future<double> ask(const std::string& name, double input) {
    std::shared_ptr<Batcher> batcher;  // held while it is asked: it may be removed meanwhile
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = models_.find(name); found != models_.end()) batcher = found->second;
    }
    if (!batcher) throw std::out_of_range("there is no model " + name);
    return batcher->dispatch(input);
  }

 private:
  using Batcher = batching::Batcher<double, double>;

  asio::thread_pool pool_;  // outlives the batchers on it
  std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<Batcher>> models_;
};

Registry::Model times(double factor) {
  return [factor](std::span<double> inputs) {
    std::vector<double> outputs;
    outputs.reserve(inputs.size());
    for (const double input : inputs) outputs.push_back(factor * input);
    return outputs;
  };
}

int main() {
  std::promise<void> repair;
  Registry registry(3);
  registry.add("twice", times(2));
  registry.add("stuck", [repaired = repair.get_future().share()](std::span<double> inputs) {
    repaired.wait();
    return std::vector<double>(inputs.begin(), inputs.end());
  });

  // Full, and stuck: 32 run, 256 wait, the others are told at once.
  std::vector<batching::Future<double>> stuck;
  stuck.reserve(1000);
  for (int i = 0; i < 1000; ++i) stuck.push_back(registry.ask("stuck", i));

  // The others go on, while one comes and goes.
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  clients.reserve(2);
  for (int client = 0; client < 2; ++client) {
    clients.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) wrong += registry.ask("twice", i).get() == 2 * i ? 0 : 1;
    });
  }
  int visits = 0;
  for (int visit = 0; visit < 20; ++visit) {
    registry.add("thrice", times(3));
    auto answer = registry.ask("thrice", visit);
    registry.remove("thrice");
    visits += answer.get() == 3 * visit ? 1 : 0;
  }
  for (auto& client : clients) client.join();

  repair.set_value();
  int served = 0;
  int refused = 0;
  for (auto& answer : stuck) {
    try {
      answer.get();
      ++served;
    } catch (const batching::Error& error) {
      if (error.code() == batching::errc::queue_full) ++refused;
    }
  }
  std::cout << "beside a stuck model: 10000 requests, " << wrong << " wrong; " << visits << " of 20 visitors answered\n"
            << "the stuck one, once repaired: " << served << " served, " << refused << " had been refused at once\n";
  return wrong == 0 && visits == 20 && served + refused == 1000 && refused >= 1000 - 32 - 256 ? 0 : 1;
}
