#include "convkit/io/media/image.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/media/codec.h"

namespace convkit::io::media {
namespace {

// No picture within kMaxPixels needs a longer file.
constexpr int64_t kMaxFileBytes = int64_t{1} << 31;

[[noreturn]] void throw_unknown(const std::string& name, std::span<const uint8_t> head) {
  throw FormatError(
      message(name, head.empty()
                        ? ": the file is empty; remove it, or put the picture in its place"
                        : ": neither PNG nor JPEG, by its first bytes; convert it to one of them"));
}

uint8_t grey_of(const uint8_t* rgb) {
  return static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

}  // namespace

void check_image_size(int64_t height, int64_t width, const std::string& name) {
  CONVKIT_CHECK(height >= 1 && width >= 1 && height <= kMaxPixels / width, FormatError, name,
                ": a picture of ", height, "×", width, " pixels; at least one and at most ",
                kMaxPixels, " can be read");
}

Image decode_image(std::span<const uint8_t> bytes, const std::string& name) {
  if (is_png(bytes)) return decode_png(bytes, name);
  if (is_jpeg(bytes)) return decode_jpeg(bytes, name);
  throw_unknown(name, bytes);
}

Image read_image(const std::string& path) {
  return decode_image(read_file(path, kMaxFileBytes), path);
}

ImageInfo read_image_info(const std::string& path) {
  const InputFile file(path);
  std::array<uint8_t, kPngHeadBytes> buffer{};
  const auto head =
      std::span(buffer).first(static_cast<std::size_t>(std::min(file.size(), kPngHeadBytes)));
  file.read_at(0, head);
  if (is_png(head)) return parse_png_info(head, path);
  if (is_jpeg(head)) return read_jpeg_info(path);
  throw_unknown(path, head);
}

bool has_image_name(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower.ends_with(".png") || lower.ends_with(".jpg") || lower.ends_with(".jpeg");
}

Image with_channels(const Image& image, int64_t channels) {
  CONVKIT_CHECK(channels == 1 || channels == 3, ValueError, "with_channels: ", channels,
                " channels; pictures are made grey (1) or RGB (3)");
  const auto from = static_cast<std::size_t>(image.channels);
  const auto to = static_cast<std::size_t>(channels);
  if (from == to) return image;
  Image result{{image.height, image.width, channels}, {}};
  const std::size_t count = image.pixels.size() / from;
  result.pixels.resize(count * to);
  for (std::size_t i = 0; i < count; ++i) {
    const uint8_t* source = &image.pixels[i * from];
    uint8_t* target = &result.pixels[i * to];
    if (to == 1) {
      target[0] = from < 3 ? source[0] : grey_of(source);
    } else {
      for (std::size_t c = 0; c < 3; ++c) target[c] = source[from < 3 ? 0 : c];
    }
  }
  return result;
}

void write_png(const std::string& path, const Image& image) { write_file(path, encode_png(image)); }

}  // namespace convkit::io::media
