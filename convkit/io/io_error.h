#pragma once

#include <string>
#include <string_view>

/// Words for failed system calls; for io/ itself.
namespace convkit::io {

/// Throws IoError: `cannot <verb> <path>: <what the system says>; <the way out>`.
[[noreturn]] void throw_system_error(std::string_view verb, const std::string& path, int error);

/// The folder part of a path, "." when it has none.
std::string parent_of(const std::string& path);

}  // namespace convkit::io
