// Chart: a picture of what was measured.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

/// One line. In a chart of bars: one bar, its height the only point's second number.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Chart {
  enum class Kind { lines, bars, course };

  std::string file;  // "speed_up.svg"
  std::string title;
  std::string x_label;
  std::string y_label;
  Kind kind = Kind::lines;
  std::vector<Series> series;
};

/// As an SVG, by gnuplot; both axes of a chart of lines are logarithmic, those of a course (over time) are not. Throws
/// a sentence if that is missing or fails.
void draw(const Chart& chart, const std::filesystem::path& directory);
