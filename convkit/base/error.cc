#include "convkit/base/error.h"

#include "convkit/base/scope.h"

namespace convkit {
namespace {

std::string with_path(const std::string& text) {
  const std::string& path = Scope::current_path();
  return path.empty() ? text : path + ": " + text;
}

}  // namespace

Error::Error(const std::string& text) : std::runtime_error(with_path(text)) {}

}  // namespace convkit
