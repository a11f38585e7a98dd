// The table and the passages.
// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <chrono>
#include <cstddef>

#include "printable.hpp"
#include <fmt/core.h>

namespace {

void print_row(const std::string& name, const User::Account& account) {
  const auto milliseconds = [&](double q) {
    return std::chrono::duration<double, std::milli>(account.latency.quantile(q)).count();
  };
  fmt::print("{:<10} {:>8} {:>10} {:>10} {:>10.2f} {:>10.2f}\n", name, account.chunks, account.tokens,
             fmt::format("${:.4f}", account.dollars), milliseconds(0.5), milliseconds(0.99));
}

}  // namespace

void print_summary(const Indexing& indexing, const batching::Stats& stats, const Index& index) {
  if (indexing.caught_signal() != 0) fmt::print("Stopped early; this is what was done until then.\n");
  fmt::print("\n{:<10} {:>8} {:>10} {:>10} {:>10} {:>10}\n", "", "chunks", "tokens", "cost", "p50 ms", "p99 ms");
  User::Account all;
  for (const User& user : indexing.users()) {
    const User::Account& account = user.account();
    print_row(user.name(), account);
    all.chunks += account.chunks;
    all.tokens += account.tokens;
    all.dollars += account.dollars;
    all.latency += account.latency;
  }
  if (indexing.users().size() > 1) print_row("all", all);
  fmt::print(
      "\nIn {:.2f} s: {} batches of {:.1f} on average, {} calls of the model saved; {} chunks ({:.0f} %) shared the "
      "embedding of an equal one.\nThe index has {} passages.\n",
      indexing.time().count(), stats.batches, stats.mean_batch_size(), stats.saved_runs(), stats.deduplicated,
      100 * stats.dedup_rate(), index.size());
}

void print_hits(const std::string& query, std::span<const Hit> hits, const Files& files) {
  constexpr std::size_t columns = 100;
  fmt::print("\nNearest to \"{}\":{}\n", printable(query, columns), hits.empty() ? " nothing" : "");
  for (const Hit& hit : hits) {
    fmt::print("  {:.3f}  {}:{}\n         {}\n", hit.score, files.files[hit.passage->file].path.string(),
               hit.passage->line, printable(hit.passage->begin, columns));
  }
}
