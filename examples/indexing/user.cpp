// What a user does with each event.
// SPDX-License-Identifier: BSL-1.0
#include "user.hpp"

#include <asio/bind_executor.hpp>

#include <chrono>
#include <utility>

#include "../support/live_statistics.hpp"
#include <fmt/core.h>

void User::start(Embedder& embedder, Chunks chunks, std::shared_ptr<Journal> journal, Index& index,
                 const asio::any_io_executor& executor, std::function<void()> over) {
  journal_ = std::move(journal);
  index_ = &index;
  executor_ = executor;
  over_ = std::move(over);
  stream_.emplace(embedder.dispatch_stream(std::move(chunks)));
  listen();
}

void User::listen() {
  stream_->async_next(
      asio::bind_executor(executor_, [this](const std::exception_ptr& error, std::optional<Stream::Event> event) {
        if (event && !error) {
          event->is_hook() ? hear(*event) : take(*event);
          return listen();
        }
        error_ = error;
        if (!error) done_ = bytes_;  // no chunk ends with the blanks that a file ends with
        over_();
      }));
}

void User::hear(const Stream::Event& hook) {
  for (std::size_t i = 0; i < hook.payloads().size(); ++i) {
    const Usage& usage = hook.payload(usage_hook, i);
    account_.tokens += usage.tokens;
    account_.dollars += usage.dollars;
  }
}

void User::take(Stream::Event& outputs) {
  const auto now = std::chrono::steady_clock::now();
  for (Embedding& embedding : outputs.outputs()) {
    Entry entry = journal_->pop();
    account_.latency.record(now - entry.submitted);
    ++account_.chunks;
    done_ = entry.done;
    index_->add(std::move(entry.passage), std::move(embedding));
  }
}

ProgressLine User::progress() const {
  const std::string latency =
      account_.chunks == 0 ? "" : fmt::format(", p50 {}", live::milliseconds(account_.latency.quantile(0.5)));
  return {name_, done_, bytes_,
          fmt::format("{} chunks, {} tokens, ${:.4f}{}", account_.chunks, account_.tokens, account_.dollars, latency)};
}
