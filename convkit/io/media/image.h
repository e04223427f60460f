#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"

/// Pictures as files: PNG (by libspng) and JPEG (by libjpeg-turbo), told apart by their content.
namespace convkit::io::media {

/// The most pixels a picture may have; larger ones are refused before memory is taken for them.
inline constexpr int64_t kMaxPixels = int64_t{1} << 28;

struct ImageInfo {
  int64_t height = 0;
  int64_t width = 0;
  /// 1 grey, 2 grey and alpha, 3 red green blue, 4 with alpha.
  int64_t channels = 0;
  friend bool operator==(const ImageInfo&, const ImageInfo&) = default;
};

/// Pixels of 8 bits, row by row from the top, the channels of a pixel side by side (H, W, C).
struct Image : ImageInfo {
  std::vector<uint8_t> pixels;
};

/// Decodes a PNG of any kind (palettes become RGB, 16 bits keep their upper 8, transparency given
/// as one colour is ignored) or a grey or RGB JPEG. Throws IoError when the file cannot be read,
/// and FormatError, naming the file and the fault, for anything else, a file cut short included. A
/// JPEG's orientation tag is not applied, as in PIL and torchvision.
CONVKIT_API Image read_image(const std::string& path);
/// The same for bytes at hand; `name` stands in messages for the path.
CONVKIT_API Image decode_image(std::span<const uint8_t> bytes, const std::string& name = "image");

/// Size and channels from the file's head alone: what read_image would give, without its cost.
CONVKIT_API ImageInfo read_image_info(const std::string& path);

/// Whether the name ends as a picture's does: .png, .jpg or .jpeg, in any case.
CONVKIT_API bool has_image_name(const std::string& name);

/// A copy with 1 or 3 channels: alpha is dropped, grey is repeated, colour becomes grey by
/// (299 R + 587 G + 114 B) / 1000 (ITU-R 601, as PIL's convert("L")), rounded.
CONVKIT_API Image with_channels(const Image& image, int64_t channels);

/// Writes a PNG, replacing the file whole. Throws ValueError unless pixels has H · W · C elements.
CONVKIT_API void write_png(const std::string& path, const Image& image);
/// The bytes that write_png writes.
CONVKIT_API std::vector<uint8_t> encode_png(const Image& image);

}  // namespace convkit::io::media
