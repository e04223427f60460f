#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "convkit/tensor/dtype.h"
#include "convkit/tensor/shape.h"

/// The header of a safetensors file, read and checked; for io/safetensors.cc.
namespace convkit::io {

/// The longest header the specification allows, and the bytes before it.
inline constexpr int64_t kMaxHeaderBytes = 100'000'000;
inline constexpr int64_t kLengthBytes = 8;

struct SafeTensorsEntry {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
  int64_t begin = 0;  ///< of its bytes, from the start of the buffer
  int64_t end = 0;
};

struct SafeTensorsHeader {
  std::vector<SafeTensorsEntry> entries;  ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// The header's length out of the first 8 bytes of a file of `file_bytes`, checked against both.
int64_t parse_header_length(std::span<const uint8_t> first, int64_t file_bytes,
                            const std::string& file);

/// Parses the header's bytes and checks every entry against the `buffer_bytes` that follow it.
/// Throws FormatError starting with `file`.
SafeTensorsHeader parse_header(std::span<const uint8_t> text, int64_t buffer_bytes,
                               const std::string& file);

/// The header's text, padded with spaces to a multiple of 8 bytes. Throws ValueError for a name or
/// metadata that is not UTF-8, or a text above kMaxHeaderBytes.
std::string format_header(const SafeTensorsHeader& header);

}  // namespace convkit::io
