#pragma once

#include <stdexcept>
#include <string>

#include "convkit/base/export.h"
#include "convkit/base/text.h"

/// Every failure of convkit is an exception derived from `Error`, whose text names the values, the
/// rule that was broken and the way out. Inside a layer the text starts with the layer's path
/// (see scope.h): `stem.conv: Conv2d ...`.
namespace convkit {

/// Base of all errors convkit throws.
class CONVKIT_API Error : public std::runtime_error {
 public:
  /// Prefixes `text` with the current scope's path, if there is one.
  explicit Error(const std::string& text);
};

/// Shapes, ranks or geometries that do not fit together.
class CONVKIT_API ShapeError : public Error {
  using Error::Error;
};
/// A tensor of the wrong element type.
class CONVKIT_API DTypeError : public Error {
  using Error::Error;
};
/// An argument or option out of its range, or a required one that is missing.
class CONVKIT_API ValueError : public Error {
  using Error::Error;
};
/// Misuse of automatic differentiation.
class CONVKIT_API GradError : public Error {
  using Error::Error;
};
/// A file that cannot be opened, read, written or found.
class CONVKIT_API IoError : public Error {
  using Error::Error;
};
/// Bytes that are not what their format says.
class CONVKIT_API FormatError : public Error {
  using Error::Error;
};
/// A value that became NaN or infinite where that ends the job.
class CONVKIT_API NotFiniteError : public Error {
  using Error::Error;
};

}  // namespace convkit

/// Throws `ErrorType` with the concatenated text of the remaining arguments unless `condition`.
#define CONVKIT_CHECK(condition, ErrorType, ...)                        \
  do {                                                                  \
    if (!(condition)) throw ErrorType(::convkit::message(__VA_ARGS__)); \
  } while (false)
