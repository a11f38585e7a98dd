// W5, real work: the durable log of the examples, its batch function as it is, and n records at once.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../examples/durable_log/appenders.hpp"
#include "meter.hpp"
#include "suite.hpp"
#include <fmt/core.h>
#include <unistd.h>

namespace {

/// A fresh directory beside this program: on a disk, where a temporary one may be in memory.
class Directory {
 public:
  Directory()
      : path_(std::filesystem::read_symlink("/proc/self/exe").parent_path() / fmt::format("database.{}", getpid())) {
    std::filesystem::create_directory(path_);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::filesystem::path database() const { return path_ / "log.db"; }

 private:
  std::filesystem::path path_;
};

/// Everybody appends one record and waits until it is durable; that some times over, the first one not counted.
template <class Appender>
Sample append(Appender appender, std::size_t callers) {
  constexpr int times = 5;
  const std::string text = "a record of about the length of a line in a log, as the examples have them";
  std::atomic<bool> failed = false;
  Meter meter;
  for (int time = 0; time <= times; ++time) {
    if (time == 1) meter = Meter();
    std::latch durable(static_cast<std::ptrdiff_t>(callers));
    for (std::size_t caller = 0; caller < callers; ++caller) {
      appender->append({0, static_cast<std::int64_t>(caller), time, text}, [&](const std::exception_ptr& error, RowId) {
        if (error) failed = true;
        durable.count_down();
      });
    }
    durable.wait();
  }
  const double seconds = meter.seconds();
  appender.reset();
  if (failed) throw std::runtime_error("the database could not be written");
  return {{"ms for all", seconds * 1e3 / times}};
}

void run(Suite& suite) {
  const Directory directory;
  const auto database = directory.database();
  const std::vector<double> most{1, 10, 25, 50, 100, 200, 500};
  const Sweep& sweep = suite.sweep(
      "W5 n durable records at once, in SQLite", "n", suite.is_quick() ? std::vector<double>{1, 50} : most,
      [&](double n) -> std::vector<Contestant> {
        const auto callers = static_cast<std::size_t>(n);
        const auto batched = [=](std::chrono::milliseconds timeout) {
          return [=] {
            const batching::Options options{.batch_size = 64, .batch_timeout = timeout};
            return append(std::make_unique<Batched>(database, options), callers);
          };
        };
        return {{"one at a time", [=] { return append(std::make_unique<Direct>(database), callers); }, true},
                {"batches, timeout 0", batched(std::chrono::milliseconds(0))},
                {"batches, timeout 1 ms", batched(std::chrono::milliseconds(1))}};
      });
  if (suite.is_quick()) return;
  suite.add(Chart{"database.svg", "n callers append a durable record each, against one transaction for each",
                  "calls at once", "times faster", Chart::Kind::lines, sweep.speed_up("one at a time")});
}

const Workload workload("W5", "real work: the durable log", run);

}  // namespace
