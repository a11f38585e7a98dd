// Asks the system and the preprocessor.
// SPDX-License-Identifier: BSL-1.0
#include "machine.hpp"

#include <batching/version.hpp>

#include <asio/version.hpp>

#include <fstream>
#include <thread>

#include <fmt/core.h>
#include <sys/utsname.h>

namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

std::string compiler() {
#if defined(__clang__)
  return "Clang " __clang_version__;
#else
  return "GCC " __VERSION__;
#endif
}

}  // namespace

std::string description_of_machine() {
  utsname system{};
  uname(&system);
  return fmt::format("{}, {} threads of it; {} {}; {}; Asio {}.{}.{}; batching {}.\n", processor(),
                     std::thread::hardware_concurrency(), system.sysname, system.release, compiler(),
                     ASIO_VERSION / 100000, ASIO_VERSION / 100 % 1000, ASIO_VERSION % 100, batching::version);
}
