// Ctrl-C and SIGTERM: noticed, so that what is in flight can be finished.
// SPDX-License-Identifier: BSL-1.0
#pragma once

/// From now on the first SIGINT or SIGTERM only sets what `caught_signal` tells; the second one ends the program.
void watch_signals() noexcept;

/// The signal's number; 0 if none came. Any thread.
[[nodiscard]] int caught_signal() noexcept;
