// printable: text from anywhere, fit for a terminal.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// At most `most` characters, and "..." where there would be more; a question mark for each control character and for
/// each byte that is not UTF-8.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most);
