#include "convkit/train/event_file.h"

#include <array>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace convkit::train {
namespace {

// Field numbers of Event, Summary and Summary.Value.
constexpr protozero::pbf_tag_type kWallTime = 1;
constexpr protozero::pbf_tag_type kStep = 2;
constexpr protozero::pbf_tag_type kFileVersion = 3;
constexpr protozero::pbf_tag_type kSummary = 5;
constexpr protozero::pbf_tag_type kValue = 1;
constexpr protozero::pbf_tag_type kTag = 1;
constexpr protozero::pbf_tag_type kSimpleValue = 2;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kFrameBytes = kLengthBytes + 2 * kCrcBytes;

std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}

template <class Int>
void append_little_endian(std::vector<uint8_t>& bytes, Int value) {
  for (std::size_t i = 0; i < sizeof(Int); ++i)
    bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

uint64_t read_little_endian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << (8 * i);
  return value;
}

// The step of an Event; -1 when the bytes are not one.
int64_t step_of(std::span<const uint8_t> event) {
  try {
    protozero::pbf_reader reader(reinterpret_cast<const char*>(event.data()), event.size());
    int64_t step = 0;
    while (reader.next()) {
      if (reader.tag() == kStep && reader.wire_type() == protozero::pbf_wire_type::varint) {
        step = reader.get_int64();
      } else {
        reader.skip();
      }
    }
    return step;
  } catch (const protozero::exception&) {
    return -1;
  }
}

// Bytes of the first record, 0 when it is cut off, damaged, or later than `last_step`.
std::size_t sound_record(std::span<const uint8_t> bytes, int64_t last_step) {
  if (bytes.size() < kFrameBytes) return 0;
  const uint64_t length = read_little_endian(bytes.first(kLengthBytes));
  if (length > bytes.size() - kFrameBytes) return 0;
  const auto event = bytes.subspan(kLengthBytes + kCrcBytes, static_cast<std::size_t>(length));
  const auto length_crc = bytes.subspan(kLengthBytes, kCrcBytes);
  const auto event_crc = bytes.subspan(kLengthBytes + kCrcBytes + event.size(), kCrcBytes);
  if (read_little_endian(length_crc) != masked_crc32c(bytes.first(kLengthBytes))) return 0;
  if (read_little_endian(event_crc) != masked_crc32c(event)) return 0;
  const int64_t step = step_of(event);
  return step < 0 || step > last_step ? 0 : kFrameBytes + event.size();
}

}  // namespace

uint32_t crc32c(std::span<const uint8_t> bytes) {
  static const std::array<uint32_t, 256> table = make_crc_table();
  uint32_t crc = ~0U;
  for (const uint8_t byte : bytes) crc = table[(crc ^ byte) & 0xffU] ^ (crc >> 8);
  return ~crc;
}

uint32_t masked_crc32c(std::span<const uint8_t> bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

EventFile::EventFile(double wall_time) {
  std::string event;
  protozero::pbf_writer writer(event);
  writer.add_double(kWallTime, wall_time);
  writer.add_string(kFileVersion, "brain.Event:2");
  append(event);
}

EventFile::EventFile(std::span<const uint8_t> bytes, int64_t last_step, double wall_time) {
  std::size_t sound = 0;
  while (const std::size_t record = sound_record(bytes.subspan(sound), last_step)) sound += record;
  if (sound == 0) {
    *this = EventFile(wall_time);
  } else {
    bytes_.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(sound));
  }
}

void EventFile::add(int64_t step, double wall_time, const std::vector<Scalar>& scalars) {
  std::string event;
  protozero::pbf_writer writer(event);
  writer.add_double(kWallTime, wall_time);
  writer.add_int64(kStep, step);
  {
    protozero::pbf_writer summary(writer, kSummary);
    for (const Scalar& scalar : scalars) {
      protozero::pbf_writer value(summary, kValue);
      value.add_string(kTag, scalar.tag.data(), scalar.tag.size());
      value.add_float(kSimpleValue, static_cast<float>(scalar.value));
    }
  }
  append(event);
}

void EventFile::append(std::string_view event) {
  const std::span<const uint8_t> payload(reinterpret_cast<const uint8_t*>(event.data()),
                                         event.size());
  const std::size_t begin = bytes_.size();
  append_little_endian(bytes_, uint64_t{event.size()});
  append_little_endian(bytes_, masked_crc32c(std::span(bytes_).subspan(begin, kLengthBytes)));
  bytes_.insert(bytes_.end(), payload.begin(), payload.end());
  append_little_endian(bytes_, masked_crc32c(payload));
}

}  // namespace convkit::train
