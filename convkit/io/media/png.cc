#include <spng.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "convkit/base/error.h"
#include "convkit/io/media/codec.h"

namespace convkit::io::media {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
// The most that deflate can compress: 258 bytes to 2 bits, in the limit.
constexpr int64_t kMaxRatio = 1032;
// Text and colour profiles of more than this are refused rather than held in memory.
constexpr std::size_t kMaxChunkBytes = std::size_t{8} << 20;

struct FreeContext {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, FreeContext>;

Context new_context(int flags) {
  Context context(spng_ctx_new(flags));
  if (!context) throw std::bad_alloc();
  return context;
}

int64_t channels_of(int color_type, const std::string& name) {
  switch (color_type) {
    case SPNG_COLOR_TYPE_GRAYSCALE:
      return 1;
    case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
      return 2;
    case SPNG_COLOR_TYPE_TRUECOLOR:
    case SPNG_COLOR_TYPE_INDEXED:
      return 3;
    case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
      return 4;
    default:
      throw FormatError(message(name, ": damaged PNG: colour type ", color_type, kReplace));
  }
}

}  // namespace

bool is_png(std::span<const uint8_t> head) {
  return head.size() >= kSignature.size() &&
         std::equal(kSignature.begin(), kSignature.end(), head.begin());
}

ImageInfo parse_png_info(std::span<const uint8_t> head, const std::string& name) {
  CONVKIT_CHECK(std::ssize(head) >= kPngHeadBytes, FormatError, name, ": PNG cut short after ",
                head.size(), " bytes", kReplace);
  constexpr std::string_view kHeaderChunk = "IHDR";
  CONVKIT_CHECK(std::equal(kHeaderChunk.begin(), kHeaderChunk.end(), head.begin() + 12),
                FormatError, name, ": damaged PNG: its first chunk is not IHDR", kReplace);
  const auto big_endian = [&](std::size_t at) {
    int64_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | head[at + i];
    return value;
  };
  const ImageInfo info{big_endian(20), big_endian(16), channels_of(head[25], name)};
  check_image_size(info.height, info.width, name);
  return info;
}

Image decode_png(std::span<const uint8_t> bytes, const std::string& name) {
  const auto check = [&](int error) {
    CONVKIT_CHECK(error == 0, FormatError, name, ": damaged PNG: ", spng_strerror(error), kReplace);
  };
  const Context context = new_context(0);
  check(spng_set_chunk_limits(context.get(), kMaxChunkBytes, kMaxChunkBytes));
  check(spng_set_png_buffer(context.get(), bytes.data(), bytes.size()));
  spng_ihdr header{};
  check(spng_get_ihdr(context.get(), &header));
  Image image{{header.height, header.width, channels_of(header.color_type, name)}, {}};
  check_image_size(image.height, image.width, name);
  // A size that the file is too short for is refused before memory is taken.
  const int64_t samples = header.color_type == SPNG_COLOR_TYPE_INDEXED ? 1 : image.channels;
  const int64_t needed = image.height * (image.width * samples * header.bit_depth / 8);
  CONVKIT_CHECK(needed / kMaxRatio <= std::ssize(bytes), FormatError, name,
                ": damaged PNG: ", image.height, "×", image.width, " pixels cannot be in ",
                bytes.size(), " bytes", kReplace);

  // libspng has 8-bit grey for depths up to 8 only, and no grey with alpha: those pass through the
  // next larger format, of which the channels wanted are kept.
  const bool small_grey = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8;
  const bool has_alpha = image.channels % 2 == 0;
  const int format = small_grey ? SPNG_FMT_G8 : has_alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8;
  const std::size_t decoded_channels = small_grey ? 1 : has_alpha ? 4 : 3;
  std::size_t size = 0;
  check(spng_decoded_image_size(context.get(), format, &size));
  image.pixels.resize(size);
  check(spng_decode_image(context.get(), image.pixels.data(), size, format, 0));
  check(spng_decode_chunks(context.get()));  // up to the end mark: a file cut short has none

  const auto channels = static_cast<std::size_t>(image.channels);
  if (decoded_channels != channels) {
    const std::size_t count = size / decoded_channels;
    for (std::size_t i = 0; i < count; ++i) {
      image.pixels[i * channels] = image.pixels[i * decoded_channels];
      if (has_alpha) image.pixels[i * channels + 1] = image.pixels[i * decoded_channels + 3];
    }
    image.pixels.resize(count * channels);
  }
  return image;
}

std::vector<uint8_t> encode_png(const Image& image) {
  CONVKIT_CHECK(image.channels >= 1 && image.channels <= 4, ValueError,
                "encode_png: ", image.channels, " channels; PNG has 1 (grey) to 4 (RGB and alpha)");
  CONVKIT_CHECK(image.height >= 1 && image.width >= 1 && image.height <= kMaxPixels / image.width &&
                    std::ssize(image.pixels) == image.height * image.width * image.channels,
                ValueError, "encode_png: ", image.pixels.size(), " values are no picture of ",
                image.height, "×", image.width, "×", image.channels);
  constexpr std::array<uint8_t, 4> kColorTypes = {
      SPNG_COLOR_TYPE_GRAYSCALE, SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, SPNG_COLOR_TYPE_TRUECOLOR,
      SPNG_COLOR_TYPE_TRUECOLOR_ALPHA};
  const auto check = [](int error) {
    CONVKIT_CHECK(error == 0, Error, "encode_png: ", spng_strerror(error));
  };
  const Context context = new_context(SPNG_CTX_ENCODER);
  spng_ihdr header{};
  header.width = static_cast<uint32_t>(image.width);
  header.height = static_cast<uint32_t>(image.height);
  header.bit_depth = 8;
  header.color_type = kColorTypes[static_cast<std::size_t>(image.channels - 1)];
  check(spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1));
  check(spng_set_ihdr(context.get(), &header));
  check(spng_encode_image(context.get(), image.pixels.data(), image.pixels.size(), SPNG_FMT_PNG,
                          SPNG_ENCODE_FINALIZE));
  std::size_t size = 0;
  int error = 0;
  const std::unique_ptr<void, decltype(&std::free)> buffer(
      spng_get_png_buffer(context.get(), &size, &error), &std::free);
  check(error);
  const auto* bytes = static_cast<const uint8_t*>(buffer.get());
  return {bytes, bytes + size};
}

}  // namespace convkit::io::media
