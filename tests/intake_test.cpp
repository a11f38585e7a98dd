// Intake: order, wake-ups and the strand's exclusiveness, first by hand, then with threads.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/intake.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "catch.hpp"

namespace {

using batching::detail::Intake;
using batching::detail::Mail;
using Submitted = Intake::Submitted;
using Until = Intake::Until;

const auto nothing = []() noexcept {};

struct Letter : Mail {
  explicit Letter(int what = 0) noexcept : Mail(Kind::submission), number(what) {}
  int number;
};

std::vector<int> numbers(Mail* mail) {
  std::vector<int> numbers;
  for (; mail != nullptr; mail = mail->next) numbers.push_back(static_cast<Letter*>(mail)->number);
  return numbers;
}

}  // namespace

TEST_CASE("a burst of submissions wakes the strand once and is read in order") {
  Intake intake;
  Letter letters[3] = {Letter(0), Letter(1), Letter(2)};
  CHECK(intake.submit(letters[0], 1, false, nothing, nothing) == Submitted::wake);
  CHECK(intake.submit(letters[1], 1, false, nothing, nothing) == Submitted::stored);
  CHECK(intake.submit(letters[2], 1, false, nothing, nothing) == Submitted::stored);
  REQUIRE(intake.enter());
  CHECK(numbers(intake.take()) == std::vector{0, 1, 2});
  CHECK(intake.leave(Until::next, 1));
  CHECK(intake.submit(letters[0], 1, false, nothing, nothing) == Submitted::wake);
}

TEST_CASE("while the clock runs only the submission that fills the window wakes the strand") {
  Intake intake(4);
  Letter letters[4];
  CHECK(intake.submit(letters[0], 1, false, nothing, nothing) == Submitted::wake);
  REQUIRE(intake.enter());
  (void)intake.take();
  CHECK(intake.leave(Until::full, 3));  // one is read, three are lacking
  CHECK(intake.submit(letters[1], 1, false, nothing, nothing) == Submitted::stored);
  CHECK(intake.submit(letters[2], 5, false, nothing, nothing) == Submitted::wake);
  CHECK(intake.submit(letters[3], 1, false, nothing, nothing) == Submitted::stored);
}

TEST_CASE("while every partition is busy only what is urgent wakes the strand") {
  Intake intake;
  Letter letters[3];
  REQUIRE(intake.enter());
  CHECK(intake.leave(Until::urgent, 1));
  CHECK(intake.submit(letters[0], 1000, false, nothing, nothing) == Submitted::stored);
  CHECK(intake.submit(letters[1], 1, true, nothing, nothing) == Submitted::wake);
  CHECK(intake.submit(letters[2], 1, true, nothing, nothing) == Submitted::stored);
}

TEST_CASE("nobody leaves while there is urgent mail, or mail and a free partition") {
  Intake intake;
  Letter lazy;
  Letter urgent;
  REQUIRE(intake.enter());
  CHECK(intake.submit(lazy, 1, false, nothing, nothing) == Submitted::stored);
  CHECK_FALSE(intake.leave(Until::next, 1));
  CHECK_FALSE(intake.leave(Until::full, 5));
  CHECK_FALSE(intake.send(urgent));  // somebody is inside already
  CHECK_FALSE(intake.leave(Until::urgent, 1));
  CHECK(numbers(intake.take()).size() == 2);
  CHECK(intake.leave(Until::urgent, 1));
}

TEST_CASE("one at a time is inside, and whoever comes second makes the first look again") {
  Intake intake;
  REQUIRE(intake.enter());
  CHECK_FALSE(intake.enter());
  CHECK_FALSE(intake.leave(Until::next, 1));
  CHECK(intake.take() == nullptr);
  CHECK(intake.leave(Until::next, 1));
  Letter letter;
  CHECK(intake.send(letter));
}

TEST_CASE("a wake-up that is on its way may be overtaken, and then finds nothing") {
  Intake intake;
  Letter letter;
  CHECK(intake.submit(letter, 1, false, nothing, nothing) == Submitted::wake);
  REQUIRE(intake.enter());  // a visitor
  CHECK(numbers(intake.take()).size() == 1);
  CHECK(intake.leave(Until::next, 1));
  REQUIRE(intake.enter());  // the runner
  CHECK(intake.take() == nullptr);
}

TEST_CASE("whoever looks out needs no wake-up for the next submission") {
  Intake intake(4);
  Letter letters[3];
  REQUIRE(intake.enter());
  CHECK(intake.leave(Until::next, 4, true));
  CHECK(intake.is_watched());
  CHECK(intake.submit(letters[0], 1, false, nothing, nothing) == Submitted::stored);
  CHECK_FALSE(intake.is_watched());
  CHECK(intake.submit(letters[1], 1, true, nothing, nothing) == Submitted::stored);
  CHECK(intake.stop_watching());
  CHECK(numbers(intake.take()).size() == 2);
  CHECK(intake.leave(Until::next, 2, true));
  CHECK(intake.submit(letters[2], 1, true, nothing, nothing) == Submitted::stored);  // urgent
  CHECK(intake.stop_watching());
}

TEST_CASE("whoever oversees a window needs no wake-up for the submission that fills it, nor for an urgent one") {
  Intake intake(4);
  Letter letters[6];
  REQUIRE(intake.enter());
  CHECK(intake.leave(Until::full, 3, true));
  CHECK(intake.submit(letters[0], 1, false, nothing, nothing) == Submitted::stored);
  CHECK(intake.try_append(letters[1], 1));
  CHECK(intake.is_watched());
  CHECK(intake.submit(letters[2], 1, false, nothing, nothing) == Submitted::stored);  // fills it
  CHECK_FALSE(intake.is_watched());
  CHECK(intake.stop_watching());
  CHECK(numbers(intake.take()).size() == 3);
  CHECK(intake.leave(Until::full, 3, true));
  CHECK(intake.submit(letters[3], 1, true, nothing, nothing) == Submitted::stored);  // urgent
  CHECK_FALSE(intake.is_watched());
  CHECK(intake.stop_watching());
  CHECK(numbers(intake.take()).size() == 1);
  // In vain: then the one that fills it has to wake somebody.
  CHECK(intake.leave(Until::full, 2, true));
  CHECK(intake.submit(letters[4], 1, false, nothing, nothing) == Submitted::stored);
  CHECK_FALSE(intake.stop_watching());
  CHECK_FALSE(intake.is_watched());
  CHECK(intake.submit(letters[5], 1, false, nothing, nothing) == Submitted::wake);
}

TEST_CASE("who has looked out in vain is woken again, and whoever visits meanwhile is no harm") {
  Intake intake(4);
  Letter letter;
  REQUIRE(intake.enter());
  CHECK(intake.leave(Until::next, 4, true));
  CHECK_FALSE(intake.stop_watching());
  CHECK_FALSE(intake.is_watched());
  CHECK(intake.submit(letter, 1, false, nothing, nothing) == Submitted::wake);
  REQUIRE(intake.enter());
  (void)intake.take();
  CHECK(intake.leave(Until::next, 4, true));
  REQUIRE(intake.enter());  // the visitor
  CHECK_FALSE(intake.is_watched());
  CHECK_FALSE(intake.stop_watching());  // the visitor looks again
  CHECK_FALSE(intake.leave(Until::next, 4));
  CHECK(intake.take() == nullptr);
  CHECK(intake.leave(Until::next, 4));
}

// Everything that can happen, six times in any order: to an intake where submissions take the short way if they can,
// and to one where none does.
TEST_CASE("the short way of a submission ends where the long way does") {
  constexpr std::uint64_t window = 3;
  constexpr std::size_t steps = 6;
  constexpr std::size_t kinds = 10;
  struct Side {
    Intake intake{window};
    std::vector<std::unique_ptr<Letter>> letters;
    std::uint64_t items = 0;  // read
    bool stamped = false;
    std::size_t short_ways = 0;

    Submitted submit(bool may_be_short, std::uint64_t count, bool urgent) {
      letters.push_back(std::make_unique<Letter>(static_cast<int>(count)));
      stamped = false;
      if (may_be_short && !urgent && intake.try_append(*letters.back(), count)) {
        ++short_ways;
        return Submitted::stored;
      }
      return intake.submit(
          *letters.back(), count, urgent, [this]() noexcept { stamped = true; }, nothing);
    }
    bool read(Until until, bool watch) {
      (void)intake.enter();
      for (const int count : numbers(intake.take())) items += static_cast<std::uint64_t>(count);
      return intake.leave(until, window - items % window, watch);
    }
  };
  std::size_t short_ways = 0;
  std::size_t differences = 0;
  const auto both = [&](std::size_t sequence) {
    Side one;
    Side other;
    for (std::size_t step = 0; step < steps; ++step, sequence /= kinds) {
      const std::size_t what = sequence % kinds;
      if (what < 4) {
        constexpr std::uint64_t counts[] = {1, 2, 7, 1};
        const auto result = one.submit(true, counts[what], what == 3);
        if (result != other.submit(false, counts[what], what == 3) || one.stamped != other.stamped) ++differences;
      } else if (what == 4) {
        one.intake.close();
        other.intake.close();
      } else {
        constexpr Until until[] = {Until::next, Until::full, Until::urgent, Until::next, Until::full};
        if (one.read(until[what - 5], what >= 8) != other.read(until[what - 5], what >= 8)) ++differences;
      }
      if (one.intake.is_watched() != other.intake.is_watched() || one.items != other.items) ++differences;
    }
    short_ways += one.short_ways;
  };
  for (std::size_t sequence = 0; sequence < kinds * kinds * kinds * kinds * kinds * kinds; ++sequence) both(sequence);
  CHECK(differences == 0);
  CHECK(short_ways > 10'000);
}

TEST_CASE("the clock is read for the first of a burst and for whoever opens a window") {
  Intake intake(4);
  std::vector<std::unique_ptr<Letter>> letters;
  for (int letter = 0; letter < 12; ++letter) letters.push_back(std::make_unique<Letter>());
  std::vector<int> stamped;
  const auto submit = [&](int letter, std::uint64_t items) {
    (void)intake.submit(
        *letters[static_cast<std::size_t>(letter)], items, false, [&]() noexcept { stamped.push_back(letter); },
        nothing);
  };
  REQUIRE(intake.enter());
  CHECK(intake.leave(Until::urgent, 4));
  for (int letter = 0; letter < 9; ++letter) submit(letter, 1);
  CHECK(stamped == std::vector{0, 4, 8});
  submit(9, 3);   // fills up
  submit(10, 9);  // opens three
  submit(11, 1);
  CHECK(stamped == std::vector{0, 4, 8, 10});
  REQUIRE(intake.enter());
  (void)intake.take();
  CHECK(intake.leave(Until::urgent, 2));  // 22 are read, two are lacking
  stamped.clear();
  for (auto& letter : letters) letter = std::make_unique<Letter>();
  for (int letter = 0; letter < 4; ++letter) submit(letter, 1);
  CHECK(stamped == std::vector{0, 2});
}

TEST_CASE("a closed intake refuses, keeps what it has, and still takes letters") {
  Intake intake;
  Letter letters[3];
  CHECK(intake.submit(letters[0], 2, false, nothing, nothing) == Submitted::wake);
  intake.close();
  CHECK(intake.submit(letters[1], 3, false, nothing, nothing) == Submitted::refused);
  CHECK(intake.send(letters[2]));
  CHECK(numbers(intake.take()).size() == 2);
  CHECK(intake.is_closed());
}

TEST_CASE("with many producers nothing is lost, each one's order is kept and one thread at a time is inside") {
  constexpr int producers = 3;
  constexpr int each = 20'000;
  constexpr std::uint64_t window = 7;
  Intake intake(window);
  std::vector<std::vector<std::unique_ptr<Letter>>> letters(producers);
  for (int p = 0; p < producers; ++p) {
    for (int i = 0; i < each; ++i)
      letters[static_cast<std::size_t>(p)].push_back(std::make_unique<Letter>(p * each + i));
  }

  std::vector<int> next(producers, 0);
  std::uint64_t read = 0;  // not atomic: the strand's
  std::atomic<std::size_t> errors = 0;
  std::atomic<bool> done = false;
  // Now and then, whoever leaves looks out for a moment; then nobody else is woken.
  const auto process = [&] {
    for (bool inside = true; inside;) {
      for (const int number : numbers(intake.take())) {
        int& expected = next[static_cast<std::size_t>(number / each)];
        if (number % each != expected++) ++errors;
        ++read;
      }
      if (read == producers * each) done = true;
      // As with a window that is never full: it asks to be woken by the item that fills it, or that opens it.
      const bool waits = read % window > 0;
      const std::uint64_t looks = read % 4;
      if (!intake.leave(waits ? Until::full : Until::next, window - read % window, looks > 0)) continue;
      for (std::uint64_t look = 0; look < looks * 50 && intake.is_watched();) ++look;
      inside = looks > 0 && intake.stop_watching();
    }
  };

  std::vector<std::thread> threads;
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (const auto& letter : letters[static_cast<std::size_t>(p)]) {
        const bool urgent = letter->number % 1000 == 0;
        if (!urgent && intake.try_append(*letter, 1)) continue;
        if (intake.submit(*letter, 1, urgent, nothing, nothing) == Submitted::wake && intake.enter()) process();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // What is left has not filled a window: its clock would bring it here.
  CHECK(producers * each - read < window);
  if (!done && intake.enter()) process();
  CHECK(done);
  CHECK(errors == 0);
}
