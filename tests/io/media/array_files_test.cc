// gzip, IDX and CIFAR files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/media/cifar.h"
#include "convkit/io/media/gzip.h"
#include "convkit/io/media/idx.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"
#include "tests/support/write_gzip.h"

namespace convkit::io::media {
namespace {

using test::gzip;
using test::TempDir;
using ::testing::ElementsAre;

Bytes text_bytes(std::string_view text) { return {text.begin(), text.end()}; }

TEST(Gzip, InflatesOneOrSeveralMembers) {
  const Bytes text = text_bytes(std::string(100'000, 'a') + "b");
  EXPECT_EQ(inflate_gzip(gzip(text)), text);
  EXPECT_TRUE(inflate_gzip(gzip({})).empty());
  Bytes two = gzip(text_bytes("ab"));
  const Bytes second = gzip(text_bytes("c"));
  two.insert(two.end(), second.begin(), second.end());
  EXPECT_EQ(inflate_gzip(two), text_bytes("abc"));
}

TEST(Gzip, RefusesDamageTruncationAndOtherBytes) {
  const Bytes whole = gzip(text_bytes("some text that is compressed, and a bit more of it"));
  EXPECT_ERROR(inflate_gzip(text_bytes("plain"), "f.gz"), FormatError, "f.gz: not a gzip file");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(inflate_gzip(std::span(whole).first(size)), FormatError) << size;
  EXPECT_ERROR(inflate_gzip(std::span(whole).first(20), "f.gz"), FormatError, "f.gz", "cut short",
               "fetch it anew");
  Bytes damaged = whole;
  damaged[damaged.size() - 6] ^= 1;  // the checksum
  EXPECT_ERROR(inflate_gzip(damaged, "f.gz"), FormatError, "f.gz", "damaged gzip data",
               "fetch the file anew");
  Bytes longer = whole;
  longer.push_back('x');
  EXPECT_ERROR(inflate_gzip(longer, "f.gz"), FormatError, "1 bytes that are not gzip");
}

TEST(Gzip, HoldsToTheLimit) {
  const Bytes bomb = gzip(Bytes(1 << 20));
  EXPECT_EQ(inflate_gzip(bomb, "bomb", 1 << 20).size(), 1U << 20);
  EXPECT_ERROR(inflate_gzip(bomb, "bomb", (1 << 20) - 1), FormatError, "bomb", "1048575");
  EXPECT_ERROR(inflate_gzip(bomb, "bomb", 0), FormatError, "bomb", "more than 0");
}

TEST(Idx, ReadsEveryTypeBigEndian) {
  const IdxArray bytes = parse_idx(Bytes{0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255});
  EXPECT_EQ(bytes.shape, Shape({2, 3}));
  EXPECT_THAT(bytes.values, ElementsAre(1, 2, 3, 4, 5, 255));
  const auto one = [](uint8_t type, Bytes value) {
    Bytes file = {0, 0, type, 1, 0, 0, 0, 1};
    file.insert(file.end(), value.begin(), value.end());
    return parse_idx(file).tensor();
  };
  EXPECT_EQ(one(9, {0xFE}).item(), -2);
  EXPECT_EQ(one(11, {0xFF, 0xFE}).item(), -2);
  EXPECT_EQ(one(12, {0, 1, 0, 2}).item(), 65538);
  EXPECT_EQ(one(13, {0x3F, 0xC0, 0, 0}).item(), 1.5);
  EXPECT_EQ(one(14, {0xBF, 0xF8, 0, 0, 0, 0, 0, 0}).item(), -1.5);
  EXPECT_EQ(one(13, {0x3F, 0xC0, 0, 0}).dtype(), DType::float32);
}

TEST(Idx, ReadsGzipFiles) {
  const TempDir folder;
  write_file(folder / "x.gz", gzip(Bytes{0, 0, 8, 1, 0, 0, 0, 2, 7, 9}));
  EXPECT_THAT(read_idx(folder / "x.gz").values, ElementsAre(7, 9));
}

TEST(Idx, TensorHasTheLogicalOrderOfTheFile) {
  Bytes file = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2};
  for (uint8_t i = 0; i < 8; ++i) file.push_back(i);
  EXPECT_EQ(parse_idx(file).tensor().at({1, 0, 1}), 5);
}

TEST(Idx, RefusesEveryBrokenFileInWords) {
  const struct {
    Bytes bytes;
    const char* words;
  } cases[] = {
      {{}, "not an IDX file: its 0 bytes"},
      {{0, 0, 8}, "not an IDX file"},
      {{1, 0, 8, 1, 0, 0, 0, 0}, "two zero bytes"},
      {{0, 0, 10, 1, 0, 0, 0, 0}, "element type 10"},
      {{0, 0, 8, 0}, "0 axes"},
      {{0, 0, 8, 9}, "9 axes"},
      {{0, 0, 8, 2, 0, 0, 0, 1}, "cut short after 8 bytes"},
      {{0, 0, 8, 1, 0, 0, 0, 2, 5}, "needs 2 bytes, but 1 follow the head; the file is cut short"},
      {{0, 0, 8, 1, 0, 0, 0, 1, 5, 6}, "needs 1 bytes, but 2 follow the head; the file is longer"},
      {{0, 0, 14, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}, "64 bits"},
      {{0, 0, 14, 4, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
       "64 bits"},
  };
  for (const auto& broken : cases)
    EXPECT_ERROR(parse_idx(broken.bytes, "x-idx"), FormatError, "x-idx: ", broken.words);
  EXPECT_ERROR(read_idx("no-such-file"), IoError, "no-such-file", "No such file");
}

TEST(Cifar, ReadsRecordsWithTheChannelsSideBySide) {
  Bytes file;
  for (uint8_t label : {uint8_t{3}, uint8_t{9}}) {
    file.push_back(label);
    for (int i = 0; i < 3072; ++i)
      file.push_back(static_cast<uint8_t>(i / 1024 * 10 + label + i % 2));
  }
  const CifarImages images = parse_cifar(file, CifarKind::cifar10);
  EXPECT_THAT(images.labels, ElementsAre(3, 9));
  EXPECT_TRUE(images.coarse_labels.empty());
  ASSERT_EQ(images.pixels.size(), 2U * 3072);
  EXPECT_THAT(std::span(images.pixels).subspan(3072, 6), ElementsAre(9, 19, 29, 10, 20, 30));
}

TEST(Cifar, ReadsTheTwoLabelsOfCifar100) {
  Bytes file(3074);
  file[0] = 19;
  file[1] = 99;
  const CifarImages images = parse_cifar(file, CifarKind::cifar100);
  EXPECT_THAT(images.coarse_labels, ElementsAre(19));
  EXPECT_THAT(images.labels, ElementsAre(99));
}

TEST(Cifar, RefusesBrokenFilesInWords) {
  EXPECT_ERROR(parse_cifar(Bytes{}, CifarKind::cifar10, "b.bin"), FormatError, "b.bin: 0 bytes");
  EXPECT_ERROR(parse_cifar(Bytes(3072), CifarKind::cifar10, "b.bin"), FormatError, "3072 bytes",
               "records of 3073", "cut short");
  EXPECT_ERROR(parse_cifar(Bytes(3073), CifarKind::cifar100, "b.bin"), FormatError, "CIFAR-100",
               "3074");
  Bytes file(2 * 3073);
  file[3073] = 10;
  EXPECT_ERROR(parse_cifar(file, CifarKind::cifar10, "b.bin"), FormatError, "record 1", "label 10",
               "0 to 9");
}

}  // namespace
}  // namespace convkit::io::media
