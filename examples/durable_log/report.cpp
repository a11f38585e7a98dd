// The table and the sentences.
// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <fmt/core.h>

std::string milliseconds(double seconds) {
  const double value = seconds * 1e3;
  return fmt::format("{:.{}f}", value, value < 0.1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);
}

namespace {

std::string latency(const Measurement& measurement, double seconds) {
  return measurement.done() ? milliseconds(seconds) : "-";
}
std::string rate(const Measurement& measurement) {
  return measurement.done() ? fmt::format("{:.0f}", measurement.rate()) : "-";
}

}  // namespace

void print_table(const std::vector<Row>& rows) {
  fmt::print("\n{:>8} {:^32} {:^44}\n", "", "-- a transaction per record --", "------ a transaction per batch ------");
  fmt::print("{:>8}  {:>10} {:>9} {:>9}  {:>10} {:>9} {:>9} {:>11}  {:>9}\n", "callers", "records/s", "p50 ms",
             "p99 ms", "records/s", "p50 ms", "p99 ms", "mean batch", "speed-up");
  for (const Row& row : rows) {
    const Measurement &direct = row.direct, &batched = row.batched;
    const std::string mean = batched.done() ? fmt::format("{:.1f}", batched.mean_batch) : "-";
    const std::string speed_up =
        direct.done() && batched.done() ? fmt::format("{:.1f} x", batched.rate() / direct.rate()) : "-";
    fmt::print("{:>8}  {:>10} {:>9} {:>9}  {:>10} {:>9} {:>9} {:>11}  {:>9}\n", row.callers, rate(direct),
               latency(direct, direct.p50), latency(direct, direct.p99), rate(batched), latency(batched, batched.p50),
               latency(batched, batched.p99), mean, speed_up);
  }
  fmt::print("\n");
}

void print_findings(const Findings& findings) {
  if (findings.good()) {
    fmt::print("Read back: all {} records that were reported durable are there exactly once, each as it was written.\n",
               findings.told);
  } else {
    fmt::print(
        "Read back, and NOT as it should be: of {} records that were reported durable {} are missing, {} are "
        "altered, {} are there more than once; {} rows were never written.\n",
        findings.told, findings.missing, findings.altered, findings.repeated, findings.unknown);
  }
  if (findings.in_doubt > 0) {
    fmt::print("Of the records that were reported as failed {} are there all the same.\n", findings.in_doubt);
  }
}
