// A batch that never ends by itself: its callers are told after 50 ms, and so is its function.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <atomic>
#include <chrono>
#include <iostream>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

int main() {
  std::atomic<bool> gave_up = false;
  batching::Batcher<int, int> patient(
      [&](std::span<const int> numbers, batching::BatchContext& context) {
        while (!context.stop_requested()) std::this_thread::sleep_for(1ms);  // a remote call that does not come back
        gave_up = true;
        return std::vector<int>(numbers.begin(), numbers.end());
      },
      {.batch_size = 1, .batch_deadline = 50ms});

  bool told = false;
  try {
    patient.dispatch(1).get();
  } catch (const batching::Error& error) {
    std::cout << "the caller: " << error.what() << '\n';
    told = error.code() == batching::errc::timed_out;
  }
  patient.close();
  std::cout << (gave_up ? "the function gave up\n" : "the function is still at it\n");
  return told && gave_up ? 0 : 1;
}
