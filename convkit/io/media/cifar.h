#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"

/// The binary versions of CIFAR-10 and CIFAR-100 (www.cs.toronto.edu/~kriz/cifar.html): records of
/// one label byte (two in CIFAR-100: coarse, fine), then 32×32 pixels as a red, a green and a blue
/// plane.
namespace convkit::io::media {

enum class CifarKind { cifar10, cifar100 };

inline constexpr int64_t kCifarSide = 32;
inline constexpr int64_t kCifarImageBytes = 3 * kCifarSide * kCifarSide;

struct CifarImages {
  std::vector<uint8_t> pixels;         ///< (N, H, W, C): the channels of a pixel side by side
  std::vector<int64_t> labels;         ///< 0 … 9, or the fine one, 0 … 99
  std::vector<int64_t> coarse_labels;  ///< 0 … 19; empty for CIFAR-10
};

/// Reads a file, plain or gzip. Throws IoError when it cannot be read, and FormatError, naming the
/// file and the record, when its length is not a whole number of records or a label is out of
/// range.
CONVKIT_API CifarImages read_cifar(const std::string& path, CifarKind kind);
/// The same for bytes at hand (not compressed); `name` stands in messages for the path.
CONVKIT_API CifarImages parse_cifar(std::span<const uint8_t> bytes, CifarKind kind,
                                    const std::string& name = "cifar");

}  // namespace convkit::io::media
