// What gnuplot is told.
// SPDX-License-Identifier: BSL-1.0
#include "chart.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "../support/gnuplot.hpp"
#include "report.hpp"
#include <fmt/core.h>

namespace {

std::string data(const std::vector<Row>& rows) {
  std::string lines;
  for (const Row& row : rows) {
    if (!row.direct.done() || !row.batched.done()) continue;
    const double speed_up = row.batched.rate() / row.direct.rate();
    lines += fmt::format("{} {} {} {} {} {} {} {:.{}f}\n", row.callers, row.direct.rate(), row.direct.p50 * 1e3,
                         row.direct.p99 * 1e3, row.batched.rate(), row.batched.p50 * 1e3, row.batched.p99 * 1e3,
                         speed_up, speed_up < 10 ? 1 : 0);
  }
  return lines;
}

std::string ticks(const std::vector<Row>& rows) {
  std::string list;
  for (const Row& row : rows) list += fmt::format("{}{}", list.empty() ? "" : ", ", row.callers);
  return list;
}

constexpr const char* drawing = R"(
set terminal svg size 1000,480 font 'sans-serif,13' background rgb 'white'
set multiplot layout 1,2 title heading font ',15' margins 0.08,0.98,0.14,0.80 spacing 0.09
set style line 1 lc rgb '#c0504d' lw 2 pt 7 ps 0.6
set style line 2 lc rgb '#2e75b6' lw 2 pt 7 ps 0.6
set style line 3 lc rgb '#c0504d' lw 1.5 dt 2 pt 6 ps 0.5
set style line 4 lc rgb '#2e75b6' lw 1.5 dt 2 pt 6 ps 0.5
set grid lc rgb '#dddddd'
set logscale xy
set xlabel 'callers at once'
set key top left reverse Left samplen 2
set format y '%.0s%c'
set yrange [:highest * 4]
set ylabel 'records per second' offset 1
set title 'Throughput, and what batching is worth'
plot $rows using 1:5 with linespoints ls 2 title 'a transaction per batch', \
     $rows using 1:2 with linespoints ls 1 title 'a transaction per record', \
     $rows using 1:5:(sprintf('%s x', stringcolumn(8))) with labels offset 0,0.9 notitle
set format y '%g'
set autoscale y
set ylabel 'latency in ms' offset 1
set title 'Until a caller knows its record durable'
plot $rows using 1:4 with linespoints ls 3 title 'per record, p99', \
     $rows using 1:3 with linespoints ls 1 title 'per record, p50', \
     $rows using 1:7 with linespoints ls 4 title 'per batch, p99', \
     $rows using 1:6 with linespoints ls 2 title 'per batch, p50'
unset multiplot
)";

}  // namespace

void check_chart_file(const std::filesystem::path& file) {
  const bool existed = std::filesystem::exists(file);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> opened(std::fopen(file.c_str(), "ab"), std::fclose);
  if (!opened) {
    throw std::runtime_error(
        fmt::format("cannot write the chart to {}: {}", file.string(), std::generic_category().message(errno)));
  }
  if (!existed) std::filesystem::remove(file);
}

void draw_chart(const std::filesystem::path& file, const std::vector<Row>& rows, double cost_of_a_durable_write) {
  const std::string points = data(rows);
  if (points.empty()) throw std::runtime_error("there is no chart: no measurement was finished");
  const double highest = std::ranges::max(rows, {}, [](const Row& row) { return row.batched.rate(); }).batched.rate();
  const auto [least, most] = std::ranges::minmax(rows, {}, &Row::callers);
  run_gnuplot(fmt::format(
      "set output {}\nheading = 'A durable log in SQLite, where one durable write costs {} ms'\n"
      "set xtics ({})\nset xrange [{}:{}]\nhighest = {}\n$rows << END\n{}END\n{}",
      quoted(file.string()), milliseconds(cost_of_a_durable_write), ticks(rows),
      0.5 * static_cast<double>(least.callers), 1.5 * static_cast<double>(most.callers), highest, points, drawing));
}
