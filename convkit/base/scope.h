#pragma once

#include <string>

#include "convkit/base/export.h"

namespace convkit {

/// Names the layer in which this thread is at work, for the lifetime of the object. Errors thrown
/// and operations recorded meanwhile carry the path, e.g. `layer1.0.conv1`. Scopes nest; the inner
/// one holds. A scope with an empty path changes nothing.
class CONVKIT_API Scope {
 public:
  /// `path` must outlive the scope: layers pass their own member.
  explicit Scope(const std::string& path);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  /// The innermost non-empty path of this thread, or an empty string.
  static const std::string& current_path();

 private:
  const std::string* outer_;
};

}  // namespace convkit
