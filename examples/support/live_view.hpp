// LiveView: draws what a batcher is doing, again and again on a terminal, as plain lines where the output goes
// elsewhere. SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "live_statistics.hpp"
#include "terminal.hpp"

/// On standard error, on a terminal below the line that the cursor is in, so that a progress bar may stand there. One
/// thread; the batcher's threads write into the statistics meanwhile.
class LiveView {
 public:
  explicit LiveView(std::shared_ptr<const LiveStatistics> statistics) : statistics_(std::move(statistics)) {}
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;
  ~LiveView() { clear(); }

  /// Cheap: draws five times a second at most, without a terminal every five seconds.
  void update() {
    const auto now = Clock::now();
    if (now - drawn_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(5))) return;
    drawn_ = now;
    if (terminal_) {
      draw(statistics_->snapshot(now));
    } else {
      const LiveSnapshot snapshot = statistics_->snapshot(now);
      terminal::write(fmt::format("{:.0f} items/s; {}\n", snapshot.items_per_second, live::summary(snapshot)));
    }
  }

  /// The batcher has done its work.
  void end() {
    clear();
    if (!terminal_) terminal::write(live::summary(statistics_->snapshot(Clock::now())) + '\n');
  }

  /// Takes it away, before something else is written.
  void clear() noexcept {
    if (std::exchange(shown_, false)) terminal::write("\n\033[J\033[A\r");
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// The cursor goes down and comes back by as many lines, however far the terminal has scrolled for that.
  void draw(const LiveSnapshot& snapshot) {
    const terminal::Size size = terminal::size();
    std::vector<std::string> lines = live::lines(snapshot, size.columns - 1);  // a full line might be wrapped
    lines.resize(std::min(lines.size(), size.rows - std::min<std::size_t>(size.rows, 2)));
    if (lines.empty()) return;
    std::string text;
    for (const std::string& line : lines) text += '\n' + line + "\033[K";
    text += "\033[J" + fmt::format("\033[{}A\r", lines.size());
    terminal::write(text);
    shown_ = true;
  }

  std::shared_ptr<const LiveStatistics> statistics_;
  bool terminal_ = terminal::is_there();
  bool shown_ = false;
  Clock::time_point drawn_ = terminal_ ? Clock::time_point() : Clock::now();
};
