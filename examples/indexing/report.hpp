// What the program prints on standard output: the summary and the answers.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/stats.hpp>

#include <span>
#include <string>

#include "files.hpp"
#include "index.hpp"
#include "indexing.hpp"

void print_summary(const Indexing& indexing, const batching::Stats& stats, const Index& index);
void print_hits(const std::string& query, std::span<const Hit> hits, const Files& files);
