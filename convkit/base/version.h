#pragma once

/// The version of the headers a program was compiled against. This file is the one place where the
/// number stands: CMake reads it from here for the package, the shared library's soname and
/// `convkit version`. Numbers follow semver.org.

#define CONVKIT_VERSION_MAJOR 0
#define CONVKIT_VERSION_MINOR 1
#define CONVKIT_VERSION_PATCH 0

namespace convkit {

inline constexpr int kVersionMajor = CONVKIT_VERSION_MAJOR;
inline constexpr int kVersionMinor = CONVKIT_VERSION_MINOR;
inline constexpr int kVersionPatch = CONVKIT_VERSION_PATCH;

/// "major.minor.patch"
inline constexpr char kVersionString[] = "0.1.0";

}  // namespace convkit
