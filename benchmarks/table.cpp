// Medians, ratios and their layout.
// SPDX-License-Identifier: BSL-1.0
#include "table.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/core.h>

namespace {

std::vector<double> sorted(const Row& row, std::string_view column) {
  std::vector<double> values;
  for (const Sample& sample : row.samples) {
    for (const Value& value : sample) {
      if (value.name == column || column.empty()) {
        values.push_back(value.value);
        break;
      }
    }
  }
  std::ranges::sort(values);
  return values;
}

/// As wide as it looks: continuation bytes of UTF-8 take no room.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char letter) { return (static_cast<unsigned char>(letter) & 0xC0U) != 0x80U; }));
}

}  // namespace

bool Row::has(std::string_view column) const { return !sorted(*this, column).empty(); }

double Row::median(std::string_view column) const {
  const auto values = sorted(*this, column);
  if (values.empty()) throw std::logic_error(fmt::format("'{}' was not measured for '{}'", column, name));
  return values[values.size() / 2];
}

const std::string& Table::figure() const { return rows.front().samples.front().front().name; }

bool Table::has(std::string_view name) const { return std::ranges::find(rows, name, &Row::name) != rows.end(); }

const Row& Table::row(std::string_view name) const {
  const auto found = std::ranges::find(rows, name, &Row::name);
  if (found == rows.end()) throw std::logic_error(fmt::format("'{}' has no row '{}'", title, name));
  return *found;
}

double Table::ratio(std::string_view name, std::string_view baseline, std::string_view column) const {
  return row(name).median(column) / row(baseline).median(column);
}

std::string Table::text() const {
  std::vector<std::vector<std::string>> cells(1, {""});
  const Sample& first = rows.front().samples.front();
  for (const Value& value : first) {
    cells[0].push_back(value.name);
    if (&value != &first.front()) continue;
    cells[0].emplace_back("least to most");
    for (const Row& row : rows) {
      if (row.is_baseline) cells[0].push_back(fmt::format("x {}", row.name));
    }
  }
  for (const Row& row : rows) {
    auto& line = cells.emplace_back(1, row.name);
    for (const Value& value : first) {
      line.push_back(number(row.median(value.name)));
      if (&value != &first.front()) continue;
      const auto values = sorted(row, value.name);
      line.push_back(fmt::format("{} to {}", number(values.front()), number(values.back())));
      for (const Row& baseline : rows) {
        if (!baseline.is_baseline) continue;
        const double relation = ratio(row.name, baseline.name);
        line.push_back(std::isfinite(relation) ? fmt::format("{:.2f}", relation) : "-");
      }
    }
  }
  return markdown(cells);
}

std::string number(double value) {
  if (value == 0) return "0";
  const double size = std::abs(value);
  return fmt::format("{:.{}f}", value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3 : 4);
}

std::string markdown(const std::vector<std::vector<std::string>>& cells) {
  std::vector<std::size_t> widths(cells.front().size(), 3);
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  std::string text;
  for (const auto& line : cells) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - width(line[i]), ' ');
      text += fmt::format("| {}{} ", i == 0 ? line[i] : blanks, i == 0 ? blanks : line[i]);
    }
    text += "|\n";
    if (&line != &cells.front()) continue;
    for (std::size_t i = 0; i < line.size(); ++i)
      text += fmt::format("|{:->{}}{}", "", widths[i] + 1, i == 0 ? '-' : ':');
    text += "|\n";
  }
  return text;
}
