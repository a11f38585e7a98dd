// Tests: whatever many threads do to a batcher at once, every caller is answered once, with its own output.
// SPDX-License-Identifier: BSL-1.0

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>

#include "asio_support.hpp"

namespace {

using namespace asio_support;

using Id = std::uint64_t;
using IdBatch = batching::Batch<Id, Id>;
using Random = std::mt19937_64;

constexpr Id f(Id id) { return (id * 2654435761U) ^ 17U; }

/// What a caller asked for, and therefore may hear.
struct Ask {
  std::vector<Id> ids;
  bool cancels = false;
  bool times_out = false;
};

/// Empty, or what is wrong with this answer.
std::string complaint(const Ask& ask, const std::exception_ptr& error, std::span<const Id> outputs) {
  if (!error) {
    if (outputs.size() != ask.ids.size()) return "wrong number of outputs";
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i] != f(ask.ids[i])) return "somebody else's output";
    }
    return {};
  }
  if (is(error, errc::cancelled)) return ask.cancels ? "" : "cancelled, but nobody did";
  if (is(error, errc::timed_out)) return ask.times_out ? "" : "timed out without a timeout";
  for (const errc expected : {errc::closed, errc::queue_full, errc::wrong_output_count, errc::dropped}) {
    if (is(error, expected)) return {};
  }
  const std::string what = name(error);
  return what == "failure" || what == "int 42" ? "" : "unexpected: " + what;
}

/// A completion handler's caller.
struct Record {
  Ask ask;
  std::atomic<int> calls = 0;
  std::optional<asio::strand<asio::thread_pool::executor_type>> strand;
  asio::cancellation_signal signal;
};

/// One batcher, and what was submitted to it.
struct Instance {
  std::atomic<std::uint64_t> submitted = 0;
  Batcher<Id, Id> batcher;

  template <class... Args>
  explicit Instance(Args&&... args) : batcher(std::forward<Args>(args)...) {}
};

/// Items that have one answer: whichever of them runs, it is everybody's.
Batcher<Id, Id>::Options::Dedup any_dedup(Random& random) {
  if (random() % 3 == 0)
    return batching::dedup::similar([](const Id& a, const Id& b) { return a == b ? 1.0 : 0.0; }, 0.5);
  batching::dedup::exact exact;
  exact.join_running = random() % 2 == 0;
  return exact;
}

class Chaos {
 public:
  enum class Ground { owned_pool, thread_pool };

  Chaos(std::uint64_t seed, Ground ground) : seed_(seed), ground_(ground) {
    Random random(seed);
    current_ = make(random);
    answerer_ = std::thread([this] { answer_late(); });
  }
  Chaos(const Chaos&) = delete;
  Chaos& operator=(const Chaos&) = delete;
  ~Chaos() {
    {
      const std::lock_guard lock(late_mutex_);
      late_end_ = true;
    }
    late_changed_.notify_one();
    answerer_.join();
    executor_.join();
    callers_.join();
  }

  void operate(std::size_t threads, std::size_t operations) {
    std::vector<std::thread> workers;
    for (std::size_t thread = 0; thread < threads; ++thread) {
      workers.emplace_back([this, thread, operations, threads] { work(thread, operations / threads); });
    }
    for (std::thread& worker : workers) worker.join();
    Random random(seed_);
    retire(random, true);
  }

  void check() {
    INFO("seed " << seed_);
    CHECK(eventually([this] { return waiting_handlers_.load() == 0; }));
    const std::lock_guard lock(mutex_);
    std::size_t not_once = 0;
    for (const auto& record : records_) not_once += record->calls.load() == 1 ? 0U : 1U;
    CHECK(not_once == 0);
    CHECK(complaints_ == std::vector<std::string>());
    CHECK(answers_.load() > 0);
    for (const auto& instance : retired_) {
      const auto audited = [&] {
        const auto stats = instance->batcher.stats();
        return stats.accepted == stats.completed + stats.failed + stats.cancelled + stats.timed_out &&
               stats.accepted + stats.rejected == instance->submitted && stats.queued == 0 && stats.running == 0;
      };
      if (eventually(audited)) continue;
      const auto stats = instance->batcher.stats();
      CHECK(stats.accepted + stats.rejected == instance->submitted.load());
      check_audit(stats);
    }
  }

 private:
  using One = std::pair<Ask, Future<Id>>;
  using Many = std::pair<Ask, Future<std::vector<Id>>>;

  struct Mine {
    Random random;
    Id next_id;
    std::vector<One> ones;
    std::vector<Many> manies;
  };

  std::shared_ptr<Instance> current() {
    const std::lock_guard lock(mutex_);
    return current_;
  }

  std::shared_ptr<Instance> make(Random& random) {
    Batcher<Id, Id>::Options options;
    options.batch_size = 1 + random() % 16;
    options.partitions = 1 + random() % 3;
    const std::chrono::nanoseconds timeouts[] = {0ns, 20us, 200us, 1ms, std::chrono::nanoseconds::max()};
    options.batch_timeout = timeouts[random() % std::size(timeouts)];
    if (random() % 2 == 0) {
      options.max_queued = options.batch_size + random() % 64;
      const batching::Overflow overflows[] = {batching::Overflow::reject, batching::Overflow::block,
                                              batching::Overflow::drop_oldest};
      options.overflow = overflows[random() % std::size(overflows)];
      // Who is blocked behind a window that waits for more would wait for ever.
      if (options.overflow == batching::Overflow::block)
        options.batch_timeout = std::min<std::chrono::nanoseconds>(options.batch_timeout, 1ms);
    }
    if (random() % 3 == 0) options.weight = [](const Id& id) { return static_cast<std::size_t>(id % 2); };
    if (random() % 3 == 0) options.key = [](const Id& id) { return id % 5; };
    if (random() % 3 == 0) options.dedup = any_dedup(random);
    if (!options.weight && random() % 4 == 0)
      options.adaptive = batching::Adaptive{.max_batch_size = 1 + random() % 32};
    if (random() % 4 == 0) options.observer = std::make_shared<batching::Observer>();
    if (random() % 3 == 0) options.on_failure = batching::OnFailure::isolate;
    options.max_runs = 1 + random() % 12;
    if (!options.adaptive && options.batch_timeout < 1ms && random() % 3 == 0) {
      options.min_batch_size = 1 + random() % options.batch_size;
      options.max_wait = 1ms;
    }
    if (limits_batches_) options.batch_deadline = std::chrono::microseconds(50 + random() % 1000);
    const auto make_on = [&](auto function) {
      return ground_ == Ground::owned_pool ? std::make_shared<Instance>(std::move(function), options)
                                           : std::make_shared<Instance>(executor_, std::move(function), options);
    };
    if (random() % 2 == 0) {
      return make_on([this](std::span<const Id> ids) {
        const std::uint64_t dice = draw_.fetch_add(1) % 64;
        if (dice == 0) throw Failure();
        if (dice == 1) throw 42;
        std::vector<Id> outputs;
        for (const Id id : ids) outputs.push_back(f(id));
        if (dice == 2) outputs.pop_back();
        if (dice == 3) outputs.push_back(7);
        if (dice == 4) outputs.clear();
        return outputs;
      });
    }
    return make_on([this](IdBatch batch) {
      const std::uint64_t dice = draw_.fetch_add(1) % 32;
      if (dice == 0) throw Failure();
      if (dice == 1) return;
      if (dice == 2) batch.set_value(0, f(batch.inputs()[0]));
      if (dice == 2) throw 42;
      if (dice < 12) return keep(std::move(batch));
      answer(batch);
    });
  }
  static void answer(IdBatch& batch) {
    std::vector<Id> outputs;
    for (const Id id : batch.inputs()) outputs.push_back(f(id));
    batch.complete(outputs);
  }

  void keep(IdBatch batch) {
    {
      const std::lock_guard lock(late_mutex_);
      late_.push_back(std::move(batch));
    }
    late_changed_.notify_one();
  }
  void answer_late() {
    Random random(seed_ + 1000);
    std::unique_lock lock(late_mutex_);
    for (;;) {
      late_changed_.wait(lock, [this] { return late_end_ || !late_.empty(); });
      if (late_.empty()) return;
      IdBatch batch = std::move(late_.front());
      late_.pop_front();
      lock.unlock();
      switch (random() % 6) {
        case 0:
          batch.fail(std::make_exception_ptr(Failure()));
          break;
        case 1:
          break;  // dropped
        case 2:
          for (std::size_t i = batch.info().size; i > 0; --i) {
            if (i % 3 == 0) {
              batch.set_error(i - 1, std::make_exception_ptr(42));
            } else {
              batch.set_value(i - 1, f(batch.inputs()[i - 1]));
            }
          }
          break;
        case 3:
          batch.complete(std::vector<Id>(batch.info().size + 1));
          break;
        default:
          answer(batch);
      }
      lock.lock();
    }
  }

  void judge(const Ask& ask, const std::exception_ptr& error, std::span<const Id> outputs) {
    answers_.fetch_add(1);
    if (limits_batches_ && is(error, errc::timed_out)) return;
    std::string wrong = complaint(ask, error, outputs);
    if (wrong.empty()) return;
    const std::lock_guard lock(mutex_);
    if (complaints_.size() < 10) complaints_.push_back(std::move(wrong));
  }
  template <class T>
  void judge(std::pair<Ask, Future<T>>& pending) {
    auto answer = outcome(pending.second);
    if constexpr (std::is_same_v<T, Id>) {
      judge(pending.first, answer.error, answer.value ? std::span<const Id>(&*answer.value, 1) : std::span<const Id>());
    } else {
      judge(pending.first, answer.error, answer.value ? std::span<const Id>(*answer.value) : std::span<const Id>());
    }
  }

  void work(std::size_t thread, std::size_t operations) {
    Mine mine{Random(seed_ * 100 + thread), Id(thread + 1) << 40U, {}, {}};
    for (std::size_t i = 0; i < operations; ++i) {
      operate(mine);
      if (mine.ones.size() + mine.manies.size() > 500) drain(mine);
    }
    drain(mine);
  }
  void drain(Mine& mine) {
    current()->batcher.flush();
    for (auto& one : mine.ones) judge(one);
    for (auto& many : mine.manies) judge(many);
    mine.ones.clear();
    mine.manies.clear();
  }
  CallOptions call_options(Mine& mine, Ask& ask) {
    CallOptions options;
    options.priority = static_cast<int>(mine.random() % 3);
    if (mine.random() % 5 == 0) {
      ask.times_out = true;
      const std::chrono::nanoseconds timeouts[] = {-1s, 0ns, 10us, 100us, 1ms, 1h, std::chrono::nanoseconds::max()};
      options.timeout = timeouts[mine.random() % std::size(timeouts)];
    }
    return options;
  }
  static Ask ask(Mine& mine, std::size_t size) {
    Ask ask;
    for (std::size_t i = 0; i < size; ++i)
      ask.ids.push_back(mine.random() % 4 == 0 ? mine.random() % 16 : mine.next_id++);
    return ask;
  }

  void operate(Mine& mine) {
    const auto dice = mine.random() % 1000;
    if (dice < 400) {
      const auto to = current();
      One one(ask(mine, 1), Future<Id>());
      const CallOptions options = call_options(mine, one.first);
      to->submitted += 1;
      one.second = to->batcher.dispatch(one.first.ids[0], options);
      if (mine.random() % 20 != 0) mine.ones.push_back(std::move(one));  // else dropped
    } else if (dice < 540) {
      const auto to = current();
      Many many(ask(mine, mine.random() % 21), Future<std::vector<Id>>());
      const CallOptions options = call_options(mine, many.first);
      to->submitted += many.first.ids.size();
      many.second = to->batcher.dispatch_many(many.first.ids, options);
      mine.manies.push_back(std::move(many));
    } else if (dice < 690) {
      submit_callback(mine, current(), 1);
    } else if (dice < 740) {
      submit_callback(mine, current(), mine.random() % 21);
    } else if (dice < 820) {
      submit_with_slot(mine);
    } else if (dice < 880) {
      if (mine.ones.empty()) return;
      One& one = mine.ones[mine.random() % mine.ones.size()];
      one.first.cancels = true;
      one.second.cancel();
    } else if (dice < 910) {
      if (mine.manies.empty()) return;
      Many& many = mine.manies[mine.random() % mine.manies.size()];
      many.first.cancels = true;
      many.second.cancel();
    } else if (dice < 960) {
      if (mine.ones.empty()) return;
      std::swap(mine.ones[mine.random() % mine.ones.size()], mine.ones.back());
      if (!ready(mine.ones.back().second)) return;
      judge(mine.ones.back());
      mine.ones.pop_back();
    } else if (dice < 985) {
      current()->batcher.flush();
    } else if (dice < 997) {
      (void)current()->batcher.stats();
    } else {
      retire(mine.random, false);
    }
  }

  std::shared_ptr<Record> record(Ask ask) {
    auto record = std::make_shared<Record>();
    record->ask = std::move(ask);
    waiting_handlers_.fetch_add(1);
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
    return record;
  }
  void heard(Record& record, const std::exception_ptr& error, std::span<const Id> outputs) {
    record.calls.fetch_add(1);
    judge(record.ask, error, outputs);
  }

  void submit_callback(Mine& mine, const std::shared_ptr<Instance>& to, std::size_t size) {
    Ask asked = ask(mine, size);
    const CallOptions options = call_options(mine, asked);
    const auto caller = record(asked);
    to->submitted += size;
    // Some handlers submit once more, and may be the last to hold the batcher.
    const auto again = mine.random() % 8 == 0 ? std::weak_ptr(to) : std::weak_ptr<Instance>();
    if (size != 1) {
      to->batcher.async_dispatch_many(asked.ids, options,
                                      [this, caller](const std::exception_ptr& error, const std::vector<Id>& outputs) {
                                        heard(*caller, error, outputs);
                                        waiting_handlers_.fetch_sub(1);
                                      });
      return;
    }
    to->batcher.async_dispatch(asked.ids[0], options,
                               [this, caller, again](const std::exception_ptr& error, Id output) {
                                 heard(*caller, error, std::span<const Id>(&output, 1));
                                 if (const auto held = again.lock()) {
                                   Ask second;
                                   second.ids = {caller->ask.ids[0]};
                                   const auto next = record(second);
                                   held->submitted += 1;
                                   held->batcher.async_dispatch(
                                       second.ids[0], [this, next](const std::exception_ptr& its_error, Id its_output) {
                                         heard(*next, its_error, std::span<const Id>(&its_output, 1));
                                         waiting_handlers_.fetch_sub(1);
                                       });
                                 }
                                 waiting_handlers_.fetch_sub(1);
                               });
  }

  void submit_with_slot(Mine& mine) {
    const auto to = current();
    Ask asked = ask(mine, 1);
    asked.cancels = true;
    const auto caller = record(asked);
    caller->strand.emplace(callers_.get_executor());
    to->submitted += 1;
    to->batcher.async_dispatch(
        asked.ids[0],
        asio::bind_cancellation_slot(
            caller->signal.slot(),
            asio::bind_executor(*caller->strand, [this, caller](const std::exception_ptr& error, Id output) {
              heard(*caller, error, std::span<const Id>(&output, 1));
              waiting_handlers_.fetch_sub(1);
            })));
    if (mine.random() % 2 == 0) return;
    asio::post(*caller->strand, [caller] { caller->signal.emit(asio::cancellation_type::terminal); });
  }

  /// Another batcher takes over; the old one is closed or destroyed in one of the ways there are.
  void retire(Random& random, bool last) {
    auto next = last ? nullptr : make(random);
    std::shared_ptr<Instance> old;
    bool keep_for_audit = false;
    {
      const std::lock_guard lock(mutex_);
      old = std::exchange(current_, std::move(next));
      keep_for_audit = last || (random() % 2 == 0 && retired_.size() < 16);
      if (keep_for_audit) retired_.push_back(old);
    }
    switch (last ? 0 : random() % 5) {
      case 0:
        old->batcher.close();
        break;
      case 1:
        (void)old->batcher.close_for(std::chrono::microseconds(random() % 500));
        break;
      case 2:
        old->batcher.stop();
        break;
      case 3:
        waiting_handlers_.fetch_add(1);
        old->batcher.async_close([this] { waiting_handlers_.fetch_sub(1); });
        break;
      default:
        if (keep_for_audit) old->batcher.stop();  // else destroyed as it is, by whoever lets go of it last
    }
  }

  const std::uint64_t seed_;
  const bool limits_batches_ = seed_ % 3 == 0;
  const Ground ground_;
  asio::thread_pool executor_{2};
  asio::thread_pool callers_{1};
  std::atomic<std::uint64_t> draw_ = 0;
  std::atomic<std::int64_t> waiting_handlers_ = 0;
  std::atomic<std::uint64_t> answers_ = 0;

  std::mutex mutex_;
  std::shared_ptr<Instance> current_;
  std::vector<std::shared_ptr<Instance>> retired_;
  std::deque<std::shared_ptr<Record>> records_;
  std::vector<std::string> complaints_;

  std::mutex late_mutex_;
  std::condition_variable late_changed_;
  std::deque<IdBatch> late_;
  bool late_end_ = false;
  std::thread answerer_;
};

constexpr std::size_t operations = under_tsan ? 20'000 : 100'000;

TEST_CASE("A hundred thousand random operations on owned pools leave nobody without an own answer") {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    Chaos chaos(seed, Chaos::Ground::owned_pool);
    chaos.operate(4, operations);
    chaos.check();
  }
}

TEST_CASE("A hundred thousand random operations on a user's thread pool leave nobody without an own answer") {
  for (const std::uint64_t seed : {4U, 5U, 6U}) {
    Chaos chaos(seed, Chaos::Ground::thread_pool);
    chaos.operate(4, operations);
    chaos.check();
  }
}

TEST_CASE("Twenty thousand submits by two threads, four to a batch, race with a timer of twenty microseconds") {
  Batcher<int, int> batcher([](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 4, .batch_timeout = 20us});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      std::deque<std::pair<int, Future<int>>> pending;
      for (int i = 0; i < 10'000; ++i) {
        const int input = thread * 10'000 + i;
        pending.emplace_back(input, batcher.dispatch(input, i % 7 == 0 ? timeout(1h) : CallOptions()));
        if (i % 11 == 0) {
          pending.back().second.cancel();
          pending.pop_back();
        }
        // A few are always in flight; often few enough that the window is not full.
        while (pending.size() > static_cast<std::size_t>(i % 6)) {
          auto answer = outcome(pending.front().second);
          if (answer.value != pending.front().first * pending.front().first) ++wrong;
          pending.pop_front();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
  batcher.close();
  check_audit(batcher.stats());
  CHECK(batcher.stats().accepted == 20'000);
  CHECK(batcher.stats().closed_by.timeout > 0);
  CHECK(batcher.stats().closed_by.size > 0);
}

TEST_CASE("A kept batch may be answered by another thread at the very moment its batcher and pool end") {
  for (int round = 0; round < (under_tsan ? 100 : 500); ++round) {
    std::mutex mutex;
    std::vector<IdBatch> kept;
    std::atomic<int> calls = 0;
    std::atomic<int> good = 0;
    std::vector<Future<Id>> futures;
    std::thread late;
    {
      Batcher<Id, Id> batcher(
          [&](IdBatch batch) {
            const std::lock_guard lock(mutex);
            kept.push_back(std::move(batch));
          },
          {.batch_size = 2, .batch_timeout = 0ns, .partitions = 2});
      for (Id id = 0; id < 4; ++id) {
        batcher.async_dispatch(id, [&, id](const std::exception_ptr& error, Id output) {
          good += (error ? is(error, errc::closed) : output == f(id)) ? 1 : 0;
          calls += 1;
        });
        futures.push_back(batcher.dispatch(id));
      }
      REQUIRE(eventually([&] {
        const std::lock_guard lock(mutex);
        return kept.size() == 2;
      }));
      late = std::thread([&] {
        std::vector<IdBatch> batches;
        {
          const std::lock_guard lock(mutex);
          batches.swap(kept);
        }
        for (IdBatch& batch : batches) {
          for (std::size_t i = 0; i < batch.info().size; ++i) batch.set_value(i, f(batch.inputs()[i]));
        }
      });
      if (round % 3 != 0) std::this_thread::sleep_for(std::chrono::microseconds(round % 40));
    }
    late.join();
    {
      const std::lock_guard lock(mutex);
      kept.clear();  // what started only after the late thread had come
    }
    REQUIRE(eventually([&] { return calls == 4; }));
    CHECK(good >= 1);
    for (auto& future : futures) CHECK(future.wait_for(patience) == std::future_status::ready);
  }
}

}  // namespace
