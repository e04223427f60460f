#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/tensor/tensor.h"

/// NumPy's .npy format, versions 1.0 to 3.0 (numpy.lib.format in NumPy's documentation): magic, a
/// Python literal {'descr', 'fortran_order', 'shape'}, then the elements.
namespace convkit::io {

/// Reads one array, in C or Fortran order, of bool, (u)int8 to 64, float16, 32 or 64 in
/// little-endian order. Throws IoError when the file cannot be read, and FormatError, naming the
/// file, the place and the way out, for anything else: big-endian or structured arrays, pickled
/// objects, a shape whose bytes are not exactly what follows.
CONVKIT_API Tensor load_npy(const std::string& path);
/// The same for bytes at hand; `name` stands in messages for the path.
CONVKIT_API Tensor parse_npy(std::span<const uint8_t> bytes, const std::string& name = "npy");

/// Writes version 1.0 in C order, replacing the file whole. Throws DTypeError for bfloat16, which
/// NumPy has not.
CONVKIT_API void save_npy(const std::string& path, const Tensor& tensor);
/// The bytes that save_npy writes.
CONVKIT_API std::vector<uint8_t> serialize_npy(const Tensor& tensor);

}  // namespace convkit::io
