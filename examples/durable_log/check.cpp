// Reading the log back.
// SPDX-License-Identifier: BSL-1.0
#include "check.hpp"

#include <string_view>
#include <unordered_map>

#include "sqlite.hpp"

namespace {

/// One run, and how often each of its records was found.
class Run {
 public:
  explicit Run(const Told& told) : told_(told) {
    // One more than was reported: what failed on its way may be there all the same.
    for (const auto& rows : told.rows) found_.emplace_back(rows.size() + 1, 0);
  }

  void found(RowId row, std::size_t caller, std::size_t sequence, std::string_view text, Findings& findings) {
    if (caller >= found_.size() || sequence >= found_[caller].size()) {
      ++findings.unknown;
      return;
    }
    const auto& rows = told_.rows[caller];
    const bool reported = sequence < rows.size();
    if (++found_[caller][sequence] > 1) {
      ++findings.repeated;
    } else if (text != told_.workload.record(caller, sequence).text || (reported && row != rows[sequence])) {
      ++findings.altered;
    } else if (!reported) {
      ++findings.in_doubt;
    }
  }
  void count(Findings& findings) const {
    for (std::size_t caller = 0; caller < found_.size(); ++caller) {
      for (std::size_t sequence = 0; sequence < told_.rows[caller].size(); ++sequence) {
        ++findings.told;
        if (found_[caller][sequence] == 0) ++findings.missing;
      }
    }
  }

 private:
  const Told& told_;
  std::vector<std::vector<int>> found_;
};

}  // namespace

Findings read_back(const std::filesystem::path& path, const std::vector<Told>& told) {
  Findings findings;
  if (told.empty()) return findings;
  std::unordered_map<std::int64_t, Run> runs;
  for (const Told& one : told) runs.try_emplace(one.workload.run, one);

  Database database(path, Database::Mode::read_only);
  Statement rows(database, "SELECT id, run, caller, sequence, text FROM log WHERE run BETWEEN ? AND ?");
  rows.bind(1, told.front().workload.run);
  rows.bind(2, told.back().workload.run);
  while (rows.step()) {
    const auto run = runs.find(rows.integer(1));
    if (run == runs.end()) {
      ++findings.unknown;
      continue;
    }
    // A negative number becomes one that is too large.
    run->second.found(rows.integer(0), static_cast<std::size_t>(rows.integer(2)),
                      static_cast<std::size_t>(rows.integer(3)), rows.text(4), findings);
  }
  for (const auto& [number, run] : runs) run.count(findings);
  return findings;
}
