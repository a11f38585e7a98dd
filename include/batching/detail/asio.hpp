// The only file that includes Asio; everybody else writes `net::`, so that Boost.Asio can stand in.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>  // before Asio, whose configuration asks for macros of the standard library

#ifdef BATCHING_USE_BOOST_ASIO

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/wait_traits.hpp>

namespace batching {
namespace net = ::boost::asio;
}
#define BATCHING_NET_NAMESPACE boost::asio  // to specialise its templates

#ifdef BOOST_ASIO_HAS_CO_AWAIT
#define BATCHING_HAS_COROUTINES 1
#endif

#else

#include <asio/any_io_executor.hpp>
#include <asio/associated_allocator.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/associator.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/co_spawn.hpp>
#include <asio/defer.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/query.hpp>
#include <asio/require.hpp>
#include <asio/strand.hpp>
#include <asio/wait_traits.hpp>

namespace batching {
namespace net = ::asio;
}
#define BATCHING_NET_NAMESPACE asio  // to specialise its templates

// Clang 14 with Asio 1.22 has none: what names `awaitable` is guarded by this.
#ifdef ASIO_HAS_CO_AWAIT
#define BATCHING_HAS_COROUTINES 1
#endif

#endif
