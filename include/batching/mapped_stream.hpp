// MappedStream: the replies to requests of many items as they come, and what their items' hooks tell.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/event_stream.hpp>
#include <batching/detail/mapped_stream_state.hpp>

namespace batching {

/// What `Mapped::dispatch_stream` returns: to be used as a `Stream` is. Its events are those of the requests: outputs
/// are replies, offsets and hooks are by request, and a hook has a payload for each item of that request that was told
/// the same. `map_results` runs on the thread that asks, or where the handler of `async_next` runs; what it throws ends
/// the stream, in its place. `next` throws `std::logic_error` while another waits. Move-only.
template <class State>
class MappedStream : public detail::EventStream<State> {
 public:
  using detail::EventStream<State>::EventStream;
};

}  // namespace batching
