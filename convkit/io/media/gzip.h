#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"

namespace convkit::io::media {

/// What is compressed decompresses to at most this many bytes unless told otherwise.
inline constexpr int64_t kMaxInflatedBytes = int64_t{1} << 31;

/// Whether the bytes begin as a gzip file does.
CONVKIT_API bool is_gzip(std::span<const uint8_t> bytes);

/// Decompresses a gzip file of one or several members (RFC 1952). Throws FormatError, naming
/// `name`, when it is damaged or cut short, has other bytes at its end, or holds more than `limit`
/// bytes.
CONVKIT_API std::vector<uint8_t> inflate_gzip(std::span<const uint8_t> bytes,
                                              const std::string& name = "gzip",
                                              int64_t limit = kMaxInflatedBytes);

/// A file's bytes, decompressed when it is a gzip file by its content.
CONVKIT_API std::vector<uint8_t> read_maybe_gzip(const std::string& path,
                                                 int64_t limit = kMaxInflatedBytes);

}  // namespace convkit::io::media
