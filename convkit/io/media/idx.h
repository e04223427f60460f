#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/tensor/tensor.h"

namespace convkit::io::media {

/// The IDX format of the MNIST files (yann.lecun.com/exdb/mnist): bytes 0, 0, type, rank, then the
/// extents and the elements, big-endian. Types: uint8, int8, int16, int32, float32, float64.
struct CONVKIT_API IdxArray {
  DType dtype = DType::uint8;
  Shape shape;
  std::vector<uint8_t> values;  ///< the elements, row-major, in this machine's byte order

  Tensor tensor() const;
};

/// Reads a file, plain or gzip. Throws IoError when it cannot be read, and FormatError, naming the
/// file and the numbers, when it is no IDX file or has not exactly the bytes its head announces.
CONVKIT_API IdxArray read_idx(const std::string& path);
/// The same for bytes at hand (not compressed); `name` stands in messages for the path.
CONVKIT_API IdxArray parse_idx(std::span<const uint8_t> bytes, const std::string& name = "idx");

}  // namespace convkit::io::media
