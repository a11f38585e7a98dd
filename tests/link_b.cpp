// The other of the two translation units, see link_a.cpp.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>
#include <batching/observers/chrome_trace.hpp>
#include <batching/observers/prometheus.hpp>
#include <batching/observers/several.hpp>

#include <string_view>

std::string_view version_seen_by_b();

std::string_view version_seen_by_b() { return batching::version; }
