// What `#include <batching/batching.hpp>` costs the compiler, against the Asio headers alone.
// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "meter.hpp"
#include "suite.hpp"
#include <fmt/core.h>
#include <unistd.h>

namespace {

/// The compiler as a child process, with the options that this program was compiled with.
Sample compile(const std::string& header) {
  const auto source = std::filesystem::temp_directory_path() / fmt::format("batching_include_{}.cpp", getpid());
  std::ofstream(source) << "#include <" << header << ">\nint main() {}\n";
  const std::string command = fmt::format("{} -fsyntax-only '{}'", BATCHING_COMPILE, source.string());
  const Meter meter;
  const int status = std::system(command.c_str());
  const double seconds = meter.seconds();
  std::filesystem::remove(source);
  if (status != 0) throw std::runtime_error(fmt::format("this did not compile: {}", command));
  return {{"seconds", seconds}};
}

void run(Suite& suite) {
  const Table& table =
      suite.compare("Compile time of one #include",
                    {{"Asio's headers alone", [] { return compile("batching/detail/asio.hpp"); }, true},
                     {"batching/batching.hpp", [] { return compile("batching/batching.hpp"); }}});
  suite.add({"including the library", Bar::Kind::at_most, 1.4,
             table.ratio("batching/batching.hpp", "Asio's headers alone"), "x the Asio headers that it uses"});
}

const Workload workload("include", "what the compiler takes for it", run);

}  // namespace
