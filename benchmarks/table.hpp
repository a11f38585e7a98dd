// Table: the contestants of a workload side by side, each figure also as a ratio to the baselines.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "meter.hpp"

/// One way of doing a workload, with all its runs.
struct Row {
  std::string name;
  bool is_baseline = false;
  std::vector<Sample> samples;

  [[nodiscard]] bool has(std::string_view column) const;
  /// Over all runs; of the first column by default.
  [[nodiscard]] double median(std::string_view column = {}) const;
};

struct Table {
  std::string title;
  std::vector<Row> rows;

  /// What the first column is called.
  [[nodiscard]] const std::string& figure() const;
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] const Row& row(std::string_view name) const;
  /// The median of the column, by default the first, in relation to the other row's.
  [[nodiscard]] double ratio(std::string_view name, std::string_view baseline, std::string_view column = {}) const;
  /// As in Markdown, and aligned, so that it can be read as it is.
  [[nodiscard]] std::string text() const;
};

/// With about three digits.
[[nodiscard]] std::string number(double value);

/// Rows of cells, the first one the heading, as a table in Markdown.
[[nodiscard]] std::string markdown(const std::vector<std::vector<std::string>>& cells);
