// MappedStreamState: makes replies of the events of a stream of outputs, whoever asks for the next one.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/mapped_next.hpp>
#include <batching/detail/mapping.hpp>
#include <batching/detail/open_requests.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/queue.hpp>
#include <batching/stream_event.hpp>

#include <any>
#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace batching::detail {

/// `Out` is what the stream inside is of, `Reply` what `map_results` makes; either may be void. One at a time asks for
/// events; anybody may drop it meanwhile.
template <class Inner, class Out, class MapResults, class Request>
class MappedStreamState : public std::enable_shared_from_this<MappedStreamState<Inner, Out, MapResults, Request>> {
 public:
  using Outputs = std::conditional_t<std::is_void_v<Out>, Nothing, std::vector<Stored<Out>>>;
  using Reply = decltype(reply(std::declval<const MapResults&>(), std::declval<Outputs>(), std::declval<Request&>()));
  using Event = StreamEvent<std::decay_t<Reply>>;
  using InnerEvent = typename Inner::Event;

  MappedStreamState(Inner inner, std::shared_ptr<const MapResults> map_results,
                    std::shared_ptr<OpenRequests<Request>> requests, net::any_io_executor executor)
      : inner_(std::move(inner)),
        map_results_(std::move(map_results)),
        requests_(std::move(requests)),
        executor_(std::move(executor)) {}

  [[nodiscard]] std::optional<Event> next() {
    if (is_asked_.exchange(true)) throw std::logic_error("batching::MappedStream: next while another waits");
    struct Asked {
      ~Asked() { is_asked.store(false); }
      std::atomic<bool>& is_asked;
    } const asked{is_asked_};
    std::exception_ptr error;
    std::optional<Event> event;
    while (!take(error, event)) absorb(inner_->next());
    if (error) std::rethrow_exception(std::move(error));
    return event;
  }

  template <class Handler>
  void async_next(Handler handler) {
    MappedNext<MappedStreamState, Handler> next(this->shared_from_this(), std::move(handler));
    if (is_asked_.exchange(true)) {
      next.refuse(std::make_exception_ptr(std::logic_error("batching::MappedStream: async_next while another waits")));
    } else if (!can_take()) {
      return wait(std::move(next));
    }
    const auto executor = net::get_associated_executor(next, executor_);
    net::post(executor, std::move(next));
  }

  /// Nobody consumes any more.
  void drop() {
    std::optional<Inner> old;
    const std::lock_guard lock(mutex_);
    if (inner_) old.emplace(std::move(*inner_));
    inner_.reset();
  }

  // --- For whoever asks. ---

  /// Is there something to tell: an event, an error, or that nothing comes any more?
  [[nodiscard]] bool can_take() const noexcept { return !ready_.empty() || error_ || is_over_; }
  /// False: there is not.
  [[nodiscard]] bool take(std::exception_ptr& error, std::optional<Event>& event) {
    if (!can_take()) return false;
    if (ready_.empty()) {
      error = std::exchange(error_, nullptr);
    } else {
      event.emplace(ready_.pop());
    }
    return true;
  }
  void absorb(std::optional<InnerEvent> event) {
    if (event && event->is_hook()) return hear(*event);
    const std::size_t offset = replied_;
    Array<Stored<Reply>> replies;
    if (event) {
      for (auto& output : event->outputs()) {
        reply_to_all(replies);
        if (is_over_) break;
        if constexpr (!std::is_void_v<Out>) outputs_.push_back(std::move(output));
        ++items_;
      }
    }
    reply_to_all(replies);
    if (!event) is_over_ = true;
    if (replies.size() != 0) ready_.push(Event(offset, std::move(replies)));
  }
  /// Waits for an event of the stream inside; cancelled if that has been dropped.
  template <class Next>
  void wait(Next next) {
    {
      const std::lock_guard lock(mutex_);
      if (inner_) return next.wait_for(*inner_);
    }
    next.cancelled();
  }
  void answered() noexcept { is_asked_.store(false); }

 private:
  /// To those that have all their outputs.
  void reply_to_all(Array<Stored<Reply>>& replies) {
    try {
      while (!is_over_) {
        const auto complete = requests_->take(items_);
        if (!complete) return;
        if constexpr (std::is_void_v<Reply>) {
          reply(*map_results_, std::exchange(outputs_, {}), complete->request);
          replies.push_back(Nothing());
        } else {
          replies.push_back(reply(*map_results_, std::exchange(outputs_, {}), complete->request));
        }
        ++replied_;
      }
    } catch (...) {
      error_ = std::current_exception();
      is_over_ = true;
      drop();
    }
  }
  /// Each request hears what is its own.
  void hear(InnerEvent& event) {
    const auto payloads = event.payloads();
    for (std::size_t i = 0; i < payloads.size();) {
      const std::size_t item = event.offset() + i;
      const auto place = requests_->place_of(item);
      const auto its = payloads.subspan(i, smaller(payloads.size() - i, place.end - item));
      ready_.push(
          Event(place.request, event.hook(), std::vector<std::any>(its.begin(), its.end()), event.is_broadcast()));
      i += its.size();
    }
  }

  std::mutex mutex_;  // over `inner_`, against `drop`
  std::optional<Inner> inner_;
  const std::shared_ptr<const MapResults> map_results_;
  const std::shared_ptr<OpenRequests<Request>> requests_;
  const net::any_io_executor executor_;
  std::atomic<bool> is_asked_ = false;
  // Whoever asks alone touches what follows.
  Queue<Event> ready_;
  std::exception_ptr error_;  // after those
  bool is_over_ = false;      // after that
  Outputs outputs_;           // of the oldest request without a reply
  std::size_t items_ = 0;     // that have been answered
  std::size_t replied_ = 0;
};

}  // namespace batching::detail
