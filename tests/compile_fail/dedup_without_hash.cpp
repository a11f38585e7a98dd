// Options::dedup compares items without a hash.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: dedup::exact\{\} needs a std::hash and an == of In; give it a hash and an equality, or a key
// function
#include <batching/batching.hpp>

struct Point {
  int x;
  int y;
};

#ifdef BATCHING_COMPILE_FAIL
const batching::dedup::exact<> how;
#else
const batching::dedup::exact how{[](const Point& point) { return point.x; }};
#endif
const batching::Batcher<Point, int>::Options options{.dedup = how};

int main() { return options.dedup ? 0 : 1; }
