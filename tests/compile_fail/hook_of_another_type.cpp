// A hook with a type takes payloads of that type.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: broadcast\(hook, payload\): the payload must be of the hook's type
#include <batching/batcher.hpp>

#include <span>
#include <string>
#include <vector>

constexpr batching::Hook<double> loss{"loss"};

int main() {
  const batching::Batcher<int, int> batcher([](std::span<int> items, batching::BatchContext& context) {
#ifdef BATCHING_COMPILE_FAIL
    context.broadcast(loss, std::string("a lot"));
#else
    context.broadcast(loss, 0.5);
#endif
    return std::vector<int>(items.begin(), items.end());
  });
}
