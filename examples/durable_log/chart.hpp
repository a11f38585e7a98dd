// The table as a picture.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <vector>

#include "measure.hpp"

/// Throws a sentence if `file` cannot be written: better before the work that it is to show.
void check_chart_file(const std::filesystem::path& file);

/// Draws an SVG with gnuplot. Throws a sentence if that is missing or fails.
void draw_chart(const std::filesystem::path& file, const std::vector<Row>& rows, double cost_of_a_durable_write);
