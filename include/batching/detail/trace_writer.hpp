// Trace and TraceWriter: what a trace is made of, laid out on tracks and written in the Trace Event Format.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>
#include <batching/detail/text.hpp>
#include <batching/observer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace batching::detail {

/// What a trace is made of.
struct Trace {
  using Time = std::chrono::steady_clock::time_point;

  struct Batch {
    BatchFinished finished;
    std::string error;
    std::size_t first_call = 0;
    std::size_t calls = 0;
  };
  struct Queue {
    Time at;
    std::size_t items = 0;
  };

  [[nodiscard]] std::size_t events() const noexcept { return batches.size() + calls.size() + queue.size(); }

  std::string name;
  // Deques, because a growing vector would copy everything while batches wait for the lock.
  std::deque<Batch> batches;
  std::deque<CallInBatch> calls;
  std::deque<Queue> queue;
  std::uint64_t dropped = 0;
};

inline void append_json(std::string& text, std::string_view value) {
  text += '"';
  append_escaped(text, value, [](char character) -> std::string {
    if (character == '"' || character == '\\') return {'\\', character};
    if (static_cast<unsigned char>(character) >= 0x20 && character != '\x7F') return {};
    constexpr std::string_view digits = "0123456789abcdef";
    const auto code = static_cast<unsigned char>(character);
    return {'\\', 'u', '0', '0', digits[code / 16U], digits[code % 16U]};
  });
  text += '"';
}

/// Lays the trace out on tracks, and writes it.
class TraceWriter {
 public:
  TraceWriter(const Trace& trace, std::ostream& out) : trace_(trace), out_(out) {
    for (const Trace::Batch& batch : trace_.batches) partitions_ = std::max(partitions_, batch.finished.partition + 1);
  }

  void write() {
    lay_out();
    out_ << "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":" << std::to_string(trace_.dropped)
         << "},\"traceEvents\":[\n";
    name_tracks();
    for (const Mark& mark : marks_) write(mark);
    out_ << "\n]}\n";
  }

 private:
  using Time = Trace::Time;
  enum class Kind { call, start_of_arrow, batch, end_of_arrow, queue };

  struct Mark {
    Time at;
    Kind kind{};
    std::size_t track = 0;
    std::size_t index = 0;  // of the call, the batch, ...
    std::size_t batch = 0;
  };

  void lay_out() {
    for (std::size_t batch = 0; batch < trace_.batches.size(); ++batch) {
      const Trace::Batch& kept = trace_.batches[batch];
      for (std::size_t at = 0; at < kept.calls; ++at) {
        const std::size_t call = kept.first_call + at;
        marks_.push_back({trace_.calls[call].arrived, Kind::call, 0, call, batch});
      }
    }
    // A slice has to stand behind the one that it lies in.
    std::stable_sort(marks_.begin(), marks_.end(), [this](const Mark& one, const Mark& other) {
      return one.at != other.at ? one.at < other.at : end_of(one) > end_of(other);
    });
    std::vector<Mark> calls;
    calls.swap(marks_);
    for (Mark& call : calls) {
      call.track = lane_for(call.at, end_of(call));
      marks_.push_back(call);
      marks_.push_back({call.at, Kind::start_of_arrow, call.track, call.index, call.batch});
    }
    for (std::size_t batch = 0; batch < trace_.batches.size(); ++batch) {
      const Trace::Batch& kept = trace_.batches[batch];
      const std::size_t track = lanes_.size() + kept.finished.partition;
      marks_.push_back({kept.finished.started, Kind::batch, track, batch, batch});
      for (std::size_t at = 0; at < kept.calls; ++at) {
        marks_.push_back({kept.finished.started, Kind::end_of_arrow, track, kept.first_call + at, batch});
      }
    }
    for (std::size_t at = 0; at < trace_.queue.size(); ++at) {
      marks_.push_back({trace_.queue[at].at, Kind::queue, 0, at, 0});
    }
    std::stable_sort(marks_.begin(), marks_.end(),
                     [](const Mark& one, const Mark& other) { return one.at < other.at; });
  }
  Time end_of(const Mark& call) const { return trace_.calls[call.index].arrived + trace_.calls[call.index].queue_time; }

  /// The slices of a track may lie within one another, but not overlap otherwise; and Perfetto ends at a depth of 512.
  std::size_t lane_for(Time begin, Time end) {
    constexpr std::size_t most_within_one_another = 64;
    const auto fits = [&](std::vector<Time>& open) {
      while (!open.empty() && open.back() <= begin) open.pop_back();
      return open.empty() || (open.back() >= end && open.size() < most_within_one_another);
    };
    // Mostly it is the one of the call before, which the same batch took.
    if (lane_ == lanes_.size() || !fits(lanes_[lane_])) {
      const auto lane = std::find_if(lanes_.begin(), lanes_.end(), fits);
      lane_ = static_cast<std::size_t>(lane - lanes_.begin());
      if (lane == lanes_.end()) lanes_.emplace_back();
    }
    lanes_[lane_].push_back(end);
    return lane_;
  }

  void name_tracks() {
    begin("M", 0);
    text_ += R"(,"name":"process_name","args":{"name":)";
    append_json(text_, trace_.name);
    text_ += "}}";
    out_ << text_;
    for (std::size_t track = 0; track < lanes_.size() + partitions_; ++track) {
      const bool lane = track < lanes_.size();
      begin("M", track);
      text_ += R"(,"name":"thread_name","args":{"name":")";
      text_ += lane ? "callers " + std::to_string(track + 1) : "partition " + std::to_string(track - lanes_.size());
      text_ += "\"}}";
      end();
      begin("M", track);
      add(R"(,"name":"thread_sort_index","args":{"sort_index":)", track);
      text_ += "}}";
      end();
    }
  }

  void write(const Mark& mark) {
    switch (mark.kind) {
      case Kind::call:
        return write(mark, trace_.calls[mark.index]);
      case Kind::batch:
        return write(mark, trace_.batches[mark.index]);
      case Kind::start_of_arrow:
        return write_arrow(mark, "s");
      case Kind::end_of_arrow:
        return write_arrow(mark, "f");
      case Kind::queue:
        begin("C", mark);
        add(R"(,"name":"queued","args":{"items":)", trace_.queue[mark.index].items);
        text_ += "}}";
        return end();
    }
  }
  void write(const Mark& mark, const CallInBatch& call) {
    begin("X", mark);
    add_time(",\"dur\":", call.queue_time);
    add(R"(,"cat":"call","name":"call","args":{"items":)", call.items);
    add(",\"batch\":", trace_.batches[mark.batch].finished.batch);
    text_ += "}}";
    end();
  }
  void write(const Mark& mark, const Trace::Batch& kept) {
    const BatchFinished& batch = kept.finished;
    begin("X", mark);
    add_time(",\"dur\":", batch.run_time);
    add(R"(,"cat":"batch","name":"batch of )", batch.size);
    if (batch.failed > 0) text_ += ", failed";
    add(R"(","args":{"batch":)", batch.batch);
    add(",\"size\":", batch.size);
    add(",\"deduplicated\":", batch.deduplicated);
    add(",\"callers\":", batch.callers);
    add(",\"weight\":", batch.weight);
    text_.append(R"(,"closed_by":")").append(to_string(batch.reason)).append("\"");
    add_time(",\"queue_time_us\":", batch.queue_time);
    add(",\"failed\":", batch.failed);
    if (!kept.error.empty()) {
      text_ += ",\"error\":";
      append_json(text_, kept.error);
    }
    text_ += "}}";
    end();
  }
  void write_arrow(const Mark& mark, std::string_view phase) {
    begin(phase, mark);
    add(R"(,"cat":"call","name":"leaves","id":)", mark.index + 1);
    if (phase == "f") text_ += R"(,"bp":"e")";
    text_ += '}';
    end();
  }

  // Track 0 is thread 2: a thread whose number is that of its process counts as the main thread.
  void begin(std::string_view phase, std::size_t track) {
    text_.assign(R"({"ph":")").append(phase).append("\",\"pid\":1");
    add(",\"tid\":", track + 2);
  }
  void begin(std::string_view phase, const Mark& mark) {
    begin(phase, mark.track);
    add_time(",\"ts\":", mark.at - marks_.front().at);
  }
  void add(std::string_view before, std::uint64_t value) {
    text_ += before;
    append_number(text_, value);
  }
  void add_time(std::string_view before, std::chrono::nanoseconds time) {
    const auto count = static_cast<std::uint64_t>(std::max<std::chrono::nanoseconds::rep>(time.count(), 0));
    add(before, count / 1000);
    const std::string fraction = std::to_string(1000 + count % 1000);
    text_.append(".").append(fraction, 1);
  }
  void end() { out_ << ",\n" << text_; }

  const Trace& trace_;
  std::ostream& out_;
  std::size_t partitions_ = 0;
  std::vector<std::vector<Time>> lanes_;  // when their open slices end, the innermost last
  std::size_t lane_ = 0;
  std::vector<Mark> marks_;
  std::string text_;
};

}  // namespace batching::detail
