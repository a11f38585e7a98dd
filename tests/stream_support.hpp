// What the tests of streams share: a reader of events, as text.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <asio/io_context.hpp>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "asio_support.hpp"

namespace support {

using Lines = std::vector<std::string>;

/// Everything that can be had without waiting, by async_next; an error is its text.
template <class Stream>
class EventReader {
 public:
  using Event = typename Stream::Event;

  EventReader(asio::io_context& io, Stream& stream, std::function<std::string(Event&)> text)
      : io_(io), stream_(stream), text_(std::move(text)) {}

  Lines read() {
    Lines lines;
    for (;;) {
      if (!waits_ && !over_) {
        waits_ = true;
        stream_.async_next([this](const std::exception_ptr& error, std::optional<Event> event) {
          waits_ = false;
          if (error) {
            last_.push_back(asio_support::name(error));
          } else if (event) {
            last_.push_back(text_(*event));
          } else {
            over_ = true;
            last_.emplace_back("end");
          }
        });
      }
      io_.restart();
      io_.poll();
      if (last_.empty()) return lines;
      lines.insert(lines.end(), last_.begin(), last_.end());
      last_.clear();
    }
  }

 private:
  asio::io_context& io_;
  Stream& stream_;
  const std::function<std::string(Event&)> text_;
  Lines last_;
  bool waits_ = false;
  bool over_ = false;
};

/// Outputs, however many events they have come in.
inline std::string joined(const Lines& lines) {
  std::string all;
  for (const std::string& line : lines) all += (all.empty() ? "" : " ") + line.substr(line.find(':') + 2);
  return all;
}

}  // namespace support
