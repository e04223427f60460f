#pragma once

#include <gtest/gtest.h>

#include <string>

#include "convkit/kernels/target.h"

namespace convkit::test {

/// Limits SIMD while it lives.
struct OnTarget {
  explicit OnTarget(const std::string& name) { kernels::set_simd_target(name); }
  ~OnTarget() { kernels::set_simd_target("best"); }
  OnTarget(const OnTarget&) = delete;
  OnTarget& operator=(const OnTarget&) = delete;
};

/// Runs `body` with each instruction set of this machine.
template <class Body>
void on_every_target(Body body) {
  for (const std::string& target : kernels::simd_targets()) {
    SCOPED_TRACE(target);
    const OnTarget limited(target);
    body();
  }
}

}  // namespace convkit::test
