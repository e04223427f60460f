#include "convkit/io/media/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "convkit/base/error.h"
#include "convkit/base/random.h"
#include "convkit/io/file.h"
#include "convkit/io/safetensors.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::io::media {
namespace {

using test::TempDir;

std::string data_file(const std::string& name) {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/" + name;
}

// What PIL reads in the files of tests/data_files.
const SafeTensors& expected() {
  static const SafeTensors file = load_safetensors(data_file("pictures.safetensors"));
  return file;
}

int largest_difference(const Image& image, const Tensor& pixels) {
  EXPECT_EQ(pixels.shape(), Shape({image.height, image.width, image.channels}));
  const std::vector<uint8_t> other = pixels.to_vector<uint8_t>();
  if (other.size() != image.pixels.size()) return 256;
  int largest = 0;
  for (std::size_t i = 0; i < other.size(); ++i)
    largest = std::max(largest, std::abs(int{image.pixels[i]} - int{other[i]}));
  return largest;
}

TEST(ReadImage, ReadsEveryKindOfPngAsPilDoes) {
  for (const char* name : {"grey.png", "bilevel.png", "grey_alpha.png", "rgb.png", "rgba.png",
                           "palette.png", "grey16.png", "interlaced.png"}) {
    const Image image = read_image(data_file(name));
    EXPECT_EQ(largest_difference(image, expected().at(name)), 0) << name;
    EXPECT_EQ(read_image_info(data_file(name)), image) << name;
  }
}

TEST(ReadImage, ReadsJpegAsPilDoes) {
  // Decoders may round the inverse cosine transform and the colours differently, by 1 each.
  for (const char* name : {"grey.jpg", "rgb.jpg", "progressive.jpg"}) {
    const Image image = read_image(data_file(name));
    EXPECT_LE(largest_difference(image, expected().at(name)), 2) << name;
    EXPECT_EQ(read_image_info(data_file(name)), image) << name;
  }
}

TEST(ReadImage, GoesByTheContentNotTheName) {
  const TempDir folder;
  write_file(folder / "a.jpg", read_file(data_file("grey.png")));
  EXPECT_EQ(read_image(folder / "a.jpg").channels, 1);
}

TEST(ReadImage, RefusesCmyk) {
  for (const auto& read :
       {+[](const std::string& path) { static_cast<void>(read_image(path)); },
        +[](const std::string& path) { static_cast<void>(read_image_info(path)); }})
    EXPECT_ERROR(read(data_file("cmyk.jpg")), FormatError, "cmyk.jpg", "4 components (CMYK",
                 "convert it to RGB");
}

TEST(ReadImage, RefusesWhatIsNoPicture) {
  const TempDir folder;
  write_file(folder / "text.png", "hello, I am no picture at all, but a line of text");
  write_file(folder / "empty.png", "");
  EXPECT_ERROR(read_image(folder / "text.png"), FormatError, folder / "text.png",
               "neither PNG nor JPEG");
  EXPECT_ERROR(read_image_info(folder / "text.png"), FormatError, "neither PNG nor JPEG");
  EXPECT_ERROR(read_image(folder / "empty.png"), FormatError, folder / "empty.png",
               "is empty; remove it");
  EXPECT_ERROR(read_image_info(folder / "empty.png"), FormatError, "is empty");
  EXPECT_ERROR(read_image(folder / "none.png"), IoError, folder / "none.png", "No such file");
  EXPECT_ERROR(read_image(folder.path()), IoError, "it is a folder");
}

TEST(ReadImage, RefusesEveryTruncation) {
  for (const char* name : {"rgb.png", "grey_alpha.png", "grey.jpg", "rgb.jpg", "progressive.jpg"}) {
    const Bytes whole = read_file(data_file(name));
    // What may be missing: a PNG's last checksum, which libspng does not read, and a JPEG's end
    // mark.
    const std::size_t enough = whole.size() - (std::string_view(name).ends_with(".png") ? 4 : 2);
    for (std::size_t size = 0; size < enough; ++size)
      EXPECT_THROW(decode_image(std::span(whole).first(size), name), FormatError)
          << name << " cut to " << size << " of " << whole.size();
  }
}

TEST(ReadImage, SaysWhichFileIsDamagedAndHow) {
  const TempDir folder;
  Bytes png = read_file(data_file("rgb.png"));
  png[png.size() / 2] ^= 0x55;
  write_file(folder / "a.png", png);
  EXPECT_ERROR(read_image(folder / "a.png"), FormatError, folder / "a.png",
               "damaged PNG: ", "put a sound copy in its place");
  const Bytes jpeg = read_file(data_file("rgb.jpg"));
  write_file(folder / "a.jpg", std::span(jpeg).first(jpeg.size() - 60));
  EXPECT_ERROR(read_image(folder / "a.jpg"), FormatError, folder / "a.jpg",
               "damaged JPEG: ", "remature end of JPEG", "put a sound copy in its place");
}

TEST(ReadImage, SurvivesRandomDamage) {
  Generator generator(3);
  for (const char* name :
       {"palette.png", "rgba.png", "interlaced.png", "grey.jpg", "progressive.jpg"}) {
    const Bytes whole = read_file(data_file(name));
    int refused = 0;
    for (int round = 0; round < 400; ++round) {
      Bytes damaged = whole;
      for (uint64_t change = generator.below(4) + 1; change > 0; --change)
        damaged[generator.below(damaged.size())] = static_cast<uint8_t>(generator.below(256));
      try {
        static_cast<void>(decode_image(damaged));
      } catch (const FormatError&) {
        ++refused;
      }
    }
    EXPECT_GT(refused, 20) << name;
  }
}

TEST(ReadImage, RefusesHugePicturesBeforeItTakesMemory) {
  // The size stands big-endian at byte 16 (width) and 20 (height); its checksum at 29.
  Bytes png = read_file(data_file("rgb.png"));
  const uint8_t huge[] = {0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF};
  std::copy(std::begin(huge), std::end(huge), png.begin() + 16);
  EXPECT_THROW(decode_image(png), FormatError);
  const TempDir folder;
  write_file(folder / "huge.png", png);
  EXPECT_ERROR(read_image_info(folder / "huge.png"), FormatError, folder / "huge.png",
               "2147483647×2147483647", "268435456");
}

TEST(ReadImage, RefusesAJpegThatCannotHoldItsPixels) {
  for (const char* name : {"grey.jpg", "rgb.jpg", "progressive.jpg"}) {
    Bytes jpeg = read_file(data_file(name));
    // Height and width stand behind the frame marker's length and precision.
    std::size_t frame = 2;
    while (jpeg[frame + 1] != 0xC0 && jpeg[frame + 1] != 0xC2)
      frame += 2 + (std::size_t{jpeg[frame + 2]} << 8) + jpeg[frame + 3];
    const uint8_t huge[] = {0x3F, 0xFF, 0x3F, 0xFF};
    std::copy(std::begin(huge), std::end(huge),
              jpeg.begin() + static_cast<std::ptrdiff_t>(frame + 5));
    EXPECT_ERROR(decode_image(jpeg, name), FormatError, name, "16383×16383 pixels cannot be in");
  }
}

TEST(WithChannels, MakesGreyAndRgb) {
  const Image rgb = read_image(data_file("rgb.png"));
  // PIL rounds with 16-bit factors instead of thousandths: at most 1 apart.
  EXPECT_LE(largest_difference(with_channels(rgb, 1), expected().at("rgb.png:L")), 1);
  const Image rgba = read_image(data_file("rgba.png"));
  const Image dropped = with_channels(rgba, 3);
  EXPECT_EQ(dropped.channels, 3);
  EXPECT_EQ(dropped.pixels[4], rgba.pixels[5]);
  const Image grey_alpha = read_image(data_file("grey_alpha.png"));
  const Image repeated = with_channels(grey_alpha, 3);
  EXPECT_THAT(std::span(repeated.pixels).subspan(3, 3), ::testing::Each(grey_alpha.pixels[2]));
  EXPECT_EQ(with_channels(rgb, 3).pixels, rgb.pixels);
  EXPECT_ERROR(with_channels(rgb, 2), ValueError, "2 channels");
}

TEST(WritePng, ReadsBackAsItWas) {
  const TempDir folder;
  Generator generator(5);
  for (int64_t channels = 1; channels <= 4; ++channels) {
    Image image{{7, 5, channels}, std::vector<uint8_t>(static_cast<std::size_t>(35 * channels))};
    for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(generator.below(256));
    write_png(folder / "p.png", image);
    const Image read = read_image(folder / "p.png");
    EXPECT_EQ(static_cast<const ImageInfo&>(read), image);
    EXPECT_EQ(read.pixels, image.pixels);
  }
}

TEST(WritePng, RefusesPixelsThatDoNotFit) {
  EXPECT_ERROR(encode_png(Image{{2, 2, 3}, std::vector<uint8_t>(11)}), ValueError, "11 values",
               "2×2×3");
  EXPECT_ERROR(encode_png(Image{{2, 2, 5}, std::vector<uint8_t>(20)}), ValueError, "5 channels");
  EXPECT_ERROR(write_png("/nowhere/p.png", Image{{1, 1, 1}, {0}}), IoError, "/nowhere/p.png");
}

TEST(ImageName, IsTakenFromTheEnding) {
  EXPECT_TRUE(has_image_name("a.PNG"));
  EXPECT_TRUE(has_image_name("b.jpeg"));
  EXPECT_TRUE(has_image_name("c.JpG"));
  EXPECT_FALSE(has_image_name("png"));
  EXPECT_FALSE(has_image_name("d.gif"));
}

}  // namespace
}  // namespace convkit::io::media
