// Reading the records.
// SPDX-License-Identifier: BSL-1.0
#include "lines.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include <fmt/core.h>

namespace {

constexpr std::size_t most_bytes = std::size_t(16) << 20;
constexpr std::size_t most_lines = 1'000'000;
constexpr std::array usual_files = {"/usr/share/common-licenses/GPL-3", "/usr/share/dict/words", "/var/log/dpkg.log",
                                    "/etc/services", "/etc/os-release"};

std::string a_file_of_this_machine() {
  for (const char* file : usual_files) {
    std::error_code none;
    if (std::filesystem::is_regular_file(file, none)) return file;
  }
  throw std::runtime_error("none of the usual text files is on this machine; name a file with records, one per line");
}

[[noreturn]] void fail(const std::string& source, int error) {
  throw std::runtime_error(fmt::format("cannot read {}: {}", source, std::generic_category().message(error)));
}

struct Close {
  void operator()(std::FILE* file) const noexcept {
    if (file != stdin) (void)std::fclose(file);
  }
};

std::string read(const std::string& file, const std::string& source) {
  const std::unique_ptr<std::FILE, Close> input(file == "-" ? stdin : std::fopen(file.c_str(), "rb"));
  if (!input) fail(source, errno);
  std::string bytes;
  std::array<char, 65536> block{};
  while (bytes.size() < most_bytes) {
    const std::size_t count = std::fread(block.data(), 1, block.size(), input.get());
    bytes.append(block.data(), count);
    if (count < block.size()) break;
  }
  if (std::ferror(input.get()) != 0) fail(source, errno);
  return bytes;
}

}  // namespace

Lines read_lines(const std::string& file) {
  const std::string name = file.empty() ? a_file_of_this_machine() : file;
  Lines result{name == "-" ? "standard input" : name, {}};
  const std::string bytes = read(name, result.source);
  for (std::string_view rest = bytes; !rest.empty() && result.lines.size() < most_lines;) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    result.lines.emplace_back(line);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  if (result.lines.empty())
    throw std::runtime_error(fmt::format("there are no records in {}: it is empty", result.source));
  return result;
}
