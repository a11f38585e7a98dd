// Finding a directory on a real disk and making a fresh one in it.
// SPDX-License-Identifier: BSL-1.0
#include "place.hpp"

#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fmt/core.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;

bool in_memory(const fs::path& path) {
  struct statfs system {};
  return statfs(path.c_str(), &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

fs::path from_environment(const char* name, const char* below) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? fs::path() : fs::path(value) / below;
}

/// The first of the usual places that can be written and is on a disk.
fs::path a_directory_on_a_disk() {
  const fs::path places[] = {from_environment("XDG_CACHE_HOME", ""), from_environment("HOME", ".cache"),
                             fs::current_path(), "/var/tmp"};
  for (const fs::path& place : places) {
    if (!place.empty() && access(place.c_str(), W_OK | X_OK) == 0 && !in_memory(place)) return place;
  }
  throw std::runtime_error("found no directory on a disk that can be written; name one with --directory");
}

fs::path make_fresh_directory(const fs::path& parent) {
  std::string name = (parent / "durable_log-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error(
        fmt::format("cannot make a directory in {}: {}", parent.string(), std::generic_category().message(errno)));
  }
  return name;
}

}  // namespace

Place::Place(const Settings& settings) : database_(settings.database) {
  if (!database_.empty()) return;
  const fs::path made =
      make_fresh_directory(fs::absolute(settings.directory.empty() ? a_directory_on_a_disk() : settings.directory));
  if (!settings.keep) to_remove_ = made;
  database_ = made / "log.db";
}

Place::~Place() {
  std::error_code ignored;
  if (!to_remove_.empty()) fs::remove_all(to_remove_, ignored);
}

bool Place::is_in_memory() const {
  const fs::path directory = database_.parent_path();
  return in_memory(directory.empty() ? "." : directory);
}
