#include "convkit/base/scope.h"

namespace convkit {
namespace {

thread_local const std::string* innermost = nullptr;

}  // namespace

Scope::Scope(const std::string& path) : outer_(innermost) {
  if (!path.empty()) innermost = &path;
}

Scope::~Scope() { innermost = outer_; }

const std::string& Scope::current_path() {
  static const std::string none;
  return innermost == nullptr ? none : *innermost;
}

}  // namespace convkit
