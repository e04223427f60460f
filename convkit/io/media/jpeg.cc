#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE and size_t before it
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <array>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/media/codec.h"

namespace convkit::io::media {
namespace {

// A progressive file of many tiny scans takes minutes to decode; encoders write about ten.
constexpr int kMaxScans = 200;

// libjpeg reports by calling back; this jumps out with the text of the fault.
struct ErrorManager : jpeg_error_mgr {
  std::jmp_buf escape;
  std::array<char, JMSG_LENGTH_MAX> text;
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* manager = static_cast<ErrorManager*>(info->err);
  manager->format_message(info, manager->text.data());
  std::longjmp(manager->escape, 1);  // NOLINT: no object with a destructor is passed over
}

// libjpeg goes on after a warning, with grey where the picture is missing. That would train a net
// on damaged pictures unnoticed, so only harmless oddities pass.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_ICC:
      return;
    default:
      leave(info);
  }
}

void ignore_text(j_common_ptr /*info*/) {}

void limit_scans(j_common_ptr info) {
  auto* decompressor = reinterpret_cast<j_decompress_ptr>(info);
  if (decompressor->input_scan_number <= kMaxScans) return;
  info->err->msg_code = JERR_BAD_PROGRESSION;
  leave(info);
}

enum class Stage { header, pixels };

// The part between setjmp and longjmp: plain data only, no object that would need its destructor.
// Returns false with errors.text set. Header: fills the sizes. Pixels: fills `pixels`.
bool run(jpeg_decompress_struct& info, ErrorManager& errors, std::span<const uint8_t> bytes,
         Stage stage, uint8_t* pixels) {
  if (setjmp(errors.escape) != 0) return false;  // NOLINT
  if (stage == Stage::header) {
    jpeg_create_decompress(&info);
    jpeg_mem_src(&info, bytes.data(), bytes.size());
    jpeg_read_header(&info, TRUE);
    return true;
  }
  info.out_color_space = info.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_start_decompress(&info);
  const std::size_t row_bytes = static_cast<std::size_t>(info.output_width) *
                                static_cast<std::size_t>(info.output_components);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = pixels + info.output_scanline * row_bytes;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return true;
}

struct Decompressor {
  jpeg_decompress_struct info{};
  ErrorManager errors{};
  jpeg_progress_mgr progress{};

  Decompressor() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = leave;
    errors.emit_message = on_message;
    errors.output_message = ignore_text;
    progress.progress_monitor = limit_scans;
  }
  ~Decompressor() { jpeg_destroy_decompress(&info); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
};

// The least bits of a file with these blocks of 8 × 8: each has a code for its mean in a Huffman
// coded file. (An arithmetically coded one of a single colour could be shorter, and is refused.)
int64_t least_bits(const jpeg_decompress_struct& info) {
  int64_t bits = 0;
  for (int i = 0; i < info.num_components; ++i) {
    const jpeg_component_info& component = info.comp_info[i];
    const auto blocks = [](int64_t pixels, int factor, int most) {
      return (pixels * factor + 8L * most - 1) / (8L * most);
    };
    bits += blocks(info.image_width, component.h_samp_factor, info.max_h_samp_factor) *
            blocks(info.image_height, component.v_samp_factor, info.max_v_samp_factor);
  }
  return bits;
}

void check_components(int components, const std::string& name) {
  CONVKIT_CHECK(components == 1 || components == 3, FormatError, name, ": a JPEG of ", components,
                " components", components == 4 ? " (CMYK, made for printing)" : "",
                "; convert it to RGB or grey first");
}

}  // namespace

bool is_jpeg(std::span<const uint8_t> head) {
  return head.size() >= 3 && head[0] == 0xFF && head[1] == 0xD8 && head[2] == 0xFF;
}

Image decode_jpeg(std::span<const uint8_t> bytes, const std::string& name) {
  Decompressor decompressor;
  const auto check = [&](bool good) {
    CONVKIT_CHECK(good, FormatError, name, ": damaged JPEG: ", decompressor.errors.text.data(),
                  kReplace);
  };
  jpeg_decompress_struct& info = decompressor.info;
  check(run(info, decompressor.errors, bytes, Stage::header, nullptr));
  info.progress = &decompressor.progress;
  check_components(info.num_components, name);
  Image image{{info.image_height, info.image_width, info.num_components}, {}};
  check_image_size(image.height, image.width, name);
  // A size that the file is too short for is refused before memory is taken.
  CONVKIT_CHECK(info.max_h_samp_factor > 0 && info.max_v_samp_factor > 0 &&
                    least_bits(info) / 8 <= std::ssize(bytes),
                FormatError, name, ": damaged JPEG: ", image.height, "×", image.width,
                " pixels cannot be in ", bytes.size(), " bytes", kReplace);
  image.pixels.resize(static_cast<std::size_t>(image.height * image.width * image.channels));
  check(run(info, decompressor.errors, bytes, Stage::pixels, image.pixels.data()));
  return image;
}

ImageInfo read_jpeg_info(const std::string& path) {
  const InputFile file(path);
  int64_t at = 2;
  for (;;) {
    std::array<uint8_t, 10> head{};
    CONVKIT_CHECK(at + 10 <= file.size(), FormatError, path,
                  ": damaged JPEG: it ends before a frame header", kReplace);
    file.read_at(at, head);
    CONVKIT_CHECK(head[0] == 0xFF, FormatError, path, ": damaged JPEG: no marker at byte ", at,
                  kReplace);
    const int marker = head[1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    // Frame headers are C0 to CF, but for the tables DHT, JPG and DAC among them.
    if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC) {
      const ImageInfo info{head[5] << 8 | head[6], head[7] << 8 | head[8], head[9]};
      check_components(static_cast<int>(info.channels), path);
      check_image_size(info.height, info.width, path);
      return info;
    }
    const bool alone = marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);  // without a length
    const int64_t length = alone ? 0 : head[2] << 8 | head[3];
    CONVKIT_CHECK(marker != 0xD9 && (alone || length >= 2), FormatError, path,
                  ": damaged JPEG: marker ", marker, " at byte ", at, " before the frame header",
                  kReplace);
    at += 2 + length;
  }
}

}  // namespace convkit::io::media
