// What gnuplot is told.
// SPDX-License-Identifier: BSL-1.0
#include "chart.hpp"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>

#include "../examples/support/gnuplot.hpp"
#include <fmt/core.h>

namespace {

constexpr const char* look = R"(
set terminal svg size 800,460 font 'sans-serif,13' background rgb 'white'
set grid lc rgb '#dddddd'
set style fill solid 0.85 noborder
)";

constexpr const char* colours[] = {"#2e75b6", "#c0504d", "#70a040", "#e09030", "#7050a0", "#808080", "#30a0a0"};

const char* colour(std::size_t index) { return colours[index % std::size(colours)]; }

std::string lines(const Chart& chart) {
  std::string data;
  std::string plot = "plot";
  std::string ticks;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    data += fmt::format("$line{} << END\n", i);
    for (const auto& [x, y] : chart.series[i].points) data += fmt::format("{} {}\n", x, y);
    data += "END\n";
    plot += fmt::format("{} $line{} using 1:2 with linespoints lw 2 pt 7 ps 0.5 lc rgb '{}' title {}",
                        i == 0 ? "" : ",", i, colour(i), quoted(chart.series[i].name));
  }
  const auto& longest =
      std::ranges::max(chart.series, {}, [](const Series& line) { return line.points.size(); }).points;
  for (const auto& point : longest) ticks += fmt::format("{}{}", ticks.empty() ? "" : ", ", point.first);
  return fmt::format("set logscale xy\nset xtics ({})\nset xrange [{}:{}]\nset key below maxrows 2 spacing 1.1\n{}{}\n",
                     ticks, 0.85 * longest.front().first, 1.18 * longest.back().first, data, plot);
}

/// Many points, over time.
std::string course(const Chart& chart) {
  std::string data;
  std::string plot = "plot";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    data += fmt::format("$line{} << END\n", i);
    for (const auto& [x, y] : chart.series[i].points) data += fmt::format("{} {}\n", x, y);
    data += "END\n";
    plot += fmt::format("{} $line{} using 1:2 with lines lw 2 lc rgb '{}' title {}", i == 0 ? "" : ",", i, colour(i),
                        quoted(chart.series[i].name));
  }
  return fmt::format("set yrange [0:*]\nset key below maxrows 2 spacing 1.1\n{}{}\n", data, plot);
}

std::string bars(const Chart& chart) {
  std::string data = "$bars << END\n";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const double height = chart.series[i].points.front().second;
    data += fmt::format("{} {} \"{}\" {} \"{:.0f}\"\n", i, height, chart.series[i].name,
                        chart.series[i].name.find("batching") == std::string::npos ? 0x909090 : 0x2e75b6, height);
  }
  return data +
         "END\nunset key\nset yrange [0:*]\nset offsets 0.6,0.6,graph 0.06,0\nset boxwidth 0.7\nset xtics rotate by "
         "-20 nomirror\nset rmargin 16\nset grid noxtics\n"
         "plot $bars using 1:2:4:xtic(3) with boxes lc rgb variable, $bars using 1:2:5 with labels offset 0,0.7\n";
}

}  // namespace

void draw(const Chart& chart, const std::filesystem::path& directory) {
  run_gnuplot(fmt::format("{}set output {}\nset title {}\nset xlabel {}\nset ylabel {}\n{}", look,
                          quoted((directory / chart.file).string()), quoted(chart.title), quoted(chart.x_label),
                          quoted(chart.y_label),
                          chart.kind == Chart::Kind::lines  ? lines(chart)
                          : chart.kind == Chart::Kind::bars ? bars(chart)
                                                            : course(chart)));
}
