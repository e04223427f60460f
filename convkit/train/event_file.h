#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/base/export.h"

/// TensorBoard's event files: what `tensorboard --logdir` draws curves from.
namespace convkit::train {

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), as of RFC 3720, appendix B.4.
CONVKIT_API uint32_t crc32c(std::span<const uint8_t> bytes);
/// TFRecord's mask, which keeps a checksum of bytes that hold checksums from misbehaving:
/// rotate right by 15, then add 0xa282ead8.
CONVKIT_API uint32_t masked_crc32c(std::span<const uint8_t> bytes);

/// One point of one curve.
struct Scalar {
  std::string_view tag;  ///< e.g. "train/loss"; what stands before the slash groups curves
  double value;
};

/// The bytes of an event file: a row of TFRecords
///   length (8 bytes, little-endian), masked CRC of those 8, the Event, masked CRC of the Event,
/// each Event a protobuf message of tensorflow/core/util/event.proto. The first says
/// "brain.Event:2"; the others carry scalars.
class CONVKIT_API EventFile {
 public:
  /// A file with the version event alone. Times are seconds since 1970.
  explicit EventFile(double wall_time);
  /// Takes up what an earlier run wrote, as far as it is sound and not after `last_step`.
  EventFile(std::span<const uint8_t> bytes, int64_t last_step, double wall_time);

  void add(int64_t step, double wall_time, const std::vector<Scalar>& scalars);
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  void append(std::string_view event);

  std::vector<uint8_t> bytes_;
};

}  // namespace convkit::train
