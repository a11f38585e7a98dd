// What `#include <batching/batching.hpp>` costs the compiler, against the headers that it includes itself.
// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <stdexcept>
#include <string>

#include "meter.hpp"
#include "suite.hpp"
#include <fmt/core.h>
#include <unistd.h>

namespace {

/// The compiler as a child process, with the options that this program was compiled with.
Sample compile(const std::set<std::string>& headers) {
  const auto source = std::filesystem::temp_directory_path() / fmt::format("batching_include_{}.cpp", getpid());
  {
    std::ofstream file(source);
    for (const std::string& header : headers) file << "#include <" << header << ">\n";
    file << "int main() {}\n";
  }
  const std::string command = fmt::format("{} -fsyntax-only '{}'", BATCHING_COMPILE, source.string());
  const Meter meter;
  const int status = std::system(command.c_str());
  const double seconds = meter.seconds();
  std::filesystem::remove(source);
  if (status != 0) throw std::runtime_error(fmt::format("this did not compile: {}", command));
  return {{"seconds", seconds}};
}

/// Those of the standard library that the header and what it includes of the library ask for.
void add_standard_headers(const std::string& header, std::set<std::string>& headers, std::set<std::string>& seen) {
  if (!seen.insert(header).second) return;
  const std::regex include("#include <(([a-z_]+)|batching/.*)>.*");
  std::ifstream lines(std::filesystem::path(BATCHING_HEADERS) / header);
  if (!lines) throw std::runtime_error(fmt::format("there is no header {} in {}", header, BATCHING_HEADERS));
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (!std::regex_match(line, match, include)) continue;
    if (match[2].matched) {
      headers.insert(match[2]);
    } else {
      add_standard_headers(match[1], headers, seen);
    }
  }
}

void run(Suite& suite) {
  const std::set<std::string> asio{"batching/detail/asio.hpp"};
  std::set<std::string> outside = asio;
  std::set<std::string> seen;
  add_standard_headers("batching/batching.hpp", outside, seen);
  const Table& table = suite.compare("Compile time of #include",
                                     {{"Asio's headers alone", [&] { return compile(asio); }, true},
                                      {"with the standard library's", [&] { return compile(outside); }},
                                      {"batching/batching.hpp", [] { return compile({"batching/batching.hpp"}); }}});
  suite.add({"including the library", Bar::Kind::at_most, 1.4,
             table.ratio("batching/batching.hpp", "Asio's headers alone"), "x the Asio headers that it uses"});
}

const Workload workload("include", "what the compiler takes for it", run);

}  // namespace
