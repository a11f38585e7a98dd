// Numbers and strings as the text formats of the observers want them, whatever the locale.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>

namespace batching::detail {

/// The shortest digits that read back as the same value.
template <class Number>
void append_number(std::string& text, Number value) {
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text.append(digits.data(), end);
}

/// Bytes of the UTF-8 sequence that `text`, which is not empty, begins with; 0 where it is none.
inline std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t at = 1; at < length; ++at) {
    if ((byte(at) & 0xC0U) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool no_character = (first == 0xED && second >= 0xA0) || (first == 0xF4 && second >= 0x90);
  return overlong || no_character ? 0 : length;
}

/// Appends `text` as UTF-8: what `escape(char)` has an answer for is replaced by that, a byte that belongs to no
/// character by U+FFFD.
template <class Escape>
void append_escaped(std::string& target, std::string_view text, Escape escape) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string replacement = length == 1 ? escape(text.front()) : length == 0 ? "\xEF\xBF\xBD" : std::string();
    target += replacement.empty() ? text.substr(0, length) : std::string_view(replacement);
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

}  // namespace batching::detail
