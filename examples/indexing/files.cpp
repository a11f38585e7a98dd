// Finding the files, and a first look at each.
// SPDX-License-Identifier: BSL-1.0
#include "files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/core.h>

namespace fs = std::filesystem;

namespace {

constexpr const char* usual_directory = "/usr/share/common-licenses";

/// Why it is to be skipped; empty if it is text. As grep sees it: whatever has a zero byte near its beginning is not.
std::string objection(const fs::path& path) {
  const OpenFile file = open(path);
  std::array<char, 8192> begin{};
  const std::size_t count = std::fread(begin.data(), 1, begin.size(), file.get());
  if (std::ferror(file.get()) != 0) fail_reading(path, errno);
  if (count == 0) return fmt::format("{} is empty", path.string());
  if (std::string_view(begin.data(), count).find('\0') == std::string_view::npos) return {};
  return fmt::format("{} is not a text file", path.string());
}

class Finder {
 public:
  void add_named(const fs::path& path) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (error) fail_reading(path, error.value());
    if (fs::is_directory(status)) return add_directory(path);
    if (!fs::is_regular_file(status)) {
      throw std::runtime_error(fmt::format("cannot read {}: it is neither a file nor a directory", path.string()));
    }
    add(path);
  }

  Files take() {
    if (found_.files.empty()) {
      throw std::runtime_error(
          found_.skipped.empty()
              ? "there is no text: no file was found"
              : fmt::format("there is no text: {}{}", found_.skipped.front(),
                            found_.skipped.size() == 1 ? "" : fmt::format(", and {} more", found_.skipped.size() - 1)));
    }
    std::ranges::sort(found_.files, {}, &File::path);
    return std::move(found_);
  }

 private:
  /// Without links: what they lead to would be there twice.
  void add_directory(const fs::path& path) {
    std::error_code error;
    fs::directory_iterator entry(path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      std::error_code gone;
      if (entry->is_symlink(gone) || !entry->is_regular_file(gone)) continue;
      try {
        add(entry->path());
      } catch (const std::exception& reason) {
        found_.skipped.emplace_back(reason.what());
      }
    }
    if (error) fail_reading(path, error.value());
  }
  void add(const fs::path& path) {
    if (!seen_.insert(fs::canonical(path)).second) return;
    if (std::string reason = objection(path); !reason.empty()) {
      found_.skipped.push_back(std::move(reason));
    } else {
      found_.files.push_back({path, fs::file_size(path)});
    }
  }

  Files found_;
  std::set<fs::path> seen_;
};

}  // namespace

Files find_files(const std::vector<fs::path>& paths) {
  Finder finder;
  std::error_code none;
  if (paths.empty() && !fs::is_directory(usual_directory, none)) {
    throw std::runtime_error(fmt::format("{} is not on this machine; name files to be indexed", usual_directory));
  }
  if (paths.empty()) finder.add_named(usual_directory);
  for (const fs::path& path : paths) finder.add_named(path);
  return finder.take();
}

std::vector<std::size_t> files_of(std::size_t user, std::size_t users, std::size_t files) {
  std::vector<std::size_t> own;
  const std::size_t shared = (files + 1) / 2;
  for (std::size_t file = 0; file < files; ++file) {
    if (file < shared || (file - shared) % users == user) own.push_back(file);
  }
  return own;
}

OpenFile open(const fs::path& path) {
  OpenFile file(std::fopen(path.c_str(), "rb"));
  if (!file) fail_reading(path, errno);
  return file;
}

void fail_reading(const fs::path& path, int error) {
  throw std::runtime_error(fmt::format("cannot read {}: {}", path.string(), std::generic_category().message(error)));
}
