#pragma once

#include <algorithm>
#include <optional>

#include "convkit/infer/steps/step.h"

/// For the sources of infer only.
namespace convkit::infer {

/// A node as it is planned.
struct Draft {
  graph::Node node;
  std::optional<Native> native;  ///< none: generic
  bool is_view() const { return native && native->step == nullptr; }
};

}  // namespace convkit::infer
