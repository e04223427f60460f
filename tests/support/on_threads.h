#pragma once

#include "convkit/base/thread_pool.h"

namespace convkit::test {

/// Runs convkit on `threads` threads while it lives. Tests that are not about threads use one: the
/// results are the same, and tests beside this one get the other cores.
struct OnThreads {
  explicit OnThreads(int threads) : before(num_threads()) { set_num_threads(threads); }
  ~OnThreads() { set_num_threads(before); }
  OnThreads(const OnThreads&) = delete;
  OnThreads& operator=(const OnThreads&) = delete;
  int before;
};

}  // namespace convkit::test
