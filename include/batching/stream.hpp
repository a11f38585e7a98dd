// Stream: the answers of one call as they come, and what its hooks tell, in the order of its items.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/event_stream.hpp>
#include <batching/detail/stream_state.hpp>
#include <batching/stream_event.hpp>

namespace batching {

/// What `Batcher::dispatch_stream` returns: events in the order of the caller's items, which may be consumed from any
/// thread, one at a time. Work starts at once, whether anybody consumes or not, and is never held up by who does so
/// slowly: what has come waits here. After an error nothing more comes, and what has not started is withdrawn, as it is
/// when the stream is destroyed. Move-only. For `next`, `async_next` and `for`, see `detail/event_stream.hpp`.
template <class Out>
class Stream : public detail::EventStream<detail::StreamState<Out>> {
 public:
  using detail::EventStream<detail::StreamState<Out>>::EventStream;
};

}  // namespace batching
