// One of two translation units that include the whole library: the program links only if nothing is defined twice.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>
#include <batching/observers/chrome_trace.hpp>
#include <batching/observers/prometheus.hpp>
#include <batching/observers/several.hpp>

#include <string_view>

std::string_view version_seen_by_b();

int main() { return batching::version == version_seen_by_b() ? 0 : 1; }
