// The whole library.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/adaptive.hpp>
#include <batching/batch.hpp>
#include <batching/batch_function.hpp>
#include <batching/batch_info.hpp>
#include <batching/batcher.hpp>
#include <batching/call_options.hpp>
#include <batching/close_reason.hpp>
#include <batching/dedup.hpp>
#include <batching/error.hpp>
#include <batching/future.hpp>
#include <batching/hook.hpp>
#include <batching/mapped.hpp>
#include <batching/mapped_stream.hpp>
#include <batching/observer.hpp>
#include <batching/options.hpp>
#include <batching/result.hpp>
#include <batching/stats.hpp>
#include <batching/stream.hpp>
#include <batching/stream_event.hpp>
#include <batching/version.hpp>
