#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "convkit/io/media/image.h"

/// The decoders behind image.h, one per format; for io/media/ itself.
namespace convkit::io::media {

/// Throws FormatError unless the size is at least 1×1 and at most kMaxPixels.
void check_image_size(int64_t height, int64_t width, const std::string& name);

/// The way out of every damaged picture, for the end of a message.
inline constexpr const char* kReplace = "; put a sound copy in its place, or remove it";

bool is_png(std::span<const uint8_t> head);
Image decode_png(std::span<const uint8_t> bytes, const std::string& name);
/// Needs the first kPngHeadBytes only.
ImageInfo parse_png_info(std::span<const uint8_t> head, const std::string& name);
inline constexpr int64_t kPngHeadBytes = 33;

bool is_jpeg(std::span<const uint8_t> head);
Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name);
/// Reads from marker to marker up to the frame header.
ImageInfo read_jpeg_info(const std::string& path);

}  // namespace convkit::io::media
