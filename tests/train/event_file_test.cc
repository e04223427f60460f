#include "convkit/train/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <protozero/pbf_reader.hpp>
#include <string>

namespace convkit::train {
namespace {

using testing::ElementsAre;

std::vector<uint8_t> bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

struct Point {
  int64_t step = 0;
  double wall_time = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

uint64_t little_endian(const uint8_t* bytes, int count) {
  uint64_t value = 0;
  for (int i = count; i-- > 0;) value = (value << 8) | bytes[i];
  return value;
}

Point parse_event(const uint8_t* data, std::size_t size) {
  Point point;
  protozero::pbf_reader event(reinterpret_cast<const char*>(data), size);
  while (event.next()) {
    switch (event.tag()) {
      case 1:
        point.wall_time = event.get_double();
        break;
      case 2:
        point.step = event.get_int64();
        break;
      case 3:
        point.version = event.get_string();
        break;
      case 5: {
        protozero::pbf_reader summary = event.get_message();
        while (summary.next(1)) {
          protozero::pbf_reader value = summary.get_message();
          auto& scalar = point.scalars.emplace_back();
          while (value.next()) {
            if (value.tag() == 1) {
              scalar.first = value.get_string();
            } else {
              scalar.second = value.get_float();
            }
          }
        }
        break;
      }
      default:
        event.skip();
    }
  }
  return point;
}

// Reads the framing as TensorBoard does, and checks both sums of every record.
std::vector<Point> parse(const std::vector<uint8_t>& bytes) {
  std::vector<Point> points;
  std::size_t at = 0;
  while (at + 12 <= bytes.size()) {
    const uint64_t length = little_endian(&bytes[at], 8);
    EXPECT_EQ(little_endian(&bytes[at + 8], 4), masked_crc32c({&bytes[at], 8}));
    const uint8_t* const event = &bytes[at + 12];
    EXPECT_LE(at + 16 + length, bytes.size());
    EXPECT_EQ(little_endian(event + length, 4), masked_crc32c({event, length}));
    points.push_back(parse_event(event, length));
    at += 16 + length;
  }
  EXPECT_EQ(at, bytes.size());
  return points;
}

TEST(Crc32c, GivesThePublishedValues) {
  // RFC 3720, appendix B.4, and the check value of the CRC catalogue.
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0)), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::vector<uint8_t>(32, 0xff)), 0x62a8ab43U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, IsMaskedByRotatingAndAdding) {
  const uint32_t crc = 0xe3069283U;
  EXPECT_EQ(masked_crc32c(bytes_of("123456789")), ((crc >> 15) | (crc << 17)) + 0xa282ead8U);
}

TEST(EventFile, BeginsWithItsVersion) {
  const auto points = parse(EventFile(12.5).bytes());
  ASSERT_EQ(points.size(), 1U);
  EXPECT_EQ(points[0].version, "brain.Event:2");
  EXPECT_EQ(points[0].wall_time, 12.5);
}

TEST(EventFile, HoldsScalarsByTagAndStep) {
  EventFile file(1.0);
  file.add(7, 2.0, {{"train/loss", 0.5}, {"val/loss", 0.25}});
  file.add(14, 3.0, {{"train/loss", 0.125}});
  const auto points = parse(file.bytes());
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[1].step, 7);
  EXPECT_EQ(points[1].wall_time, 2.0);
  EXPECT_THAT(points[1].scalars, ElementsAre(std::pair<std::string, float>("train/loss", 0.5F),
                                             std::pair<std::string, float>("val/loss", 0.25F)));
  EXPECT_EQ(points[2].step, 14);
}

TEST(EventFile, GoesOnAfterTheLastStepThatIsKept) {
  EventFile file(1.0);
  for (int step = 1; step <= 3; ++step) file.add(step, 2.0, {{"loss", 1.0 / step}});
  EventFile resumed(file.bytes(), 2, 9.0);
  EXPECT_EQ(parse(resumed.bytes()).size(), 3U);  // the version and two steps
  resumed.add(3, 2.0, {{"loss", 1.0 / 3}});
  EXPECT_EQ(resumed.bytes(), file.bytes());
}

TEST(EventFile, KeepsWhatIsSoundOfADamagedFile) {
  EventFile file(1.0);
  file.add(1, 2.0, {{"loss", 1.0}});
  const std::size_t sound = file.bytes().size();
  file.add(2, 2.0, {{"loss", 1.0}});
  for (std::size_t length = 0; length <= file.bytes().size(); ++length) {
    const std::span<const uint8_t> cut(file.bytes().data(), length);
    const auto points = parse(EventFile(cut, 100, 5.0).bytes());
    EXPECT_EQ(points.size(), length == file.bytes().size() ? 3U : length >= sound ? 2U : 1U);
  }
  for (std::size_t i = sound; i < file.bytes().size(); ++i) {
    std::vector<uint8_t> damaged = file.bytes();
    damaged[i] ^= 0x10U;
    EXPECT_EQ(EventFile(damaged, 100, 5.0).bytes().size(), sound) << "byte " << i;
  }
}

}  // namespace
}  // namespace convkit::train
