#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/tensor/tensor.h"

/// The safetensors format, to the letter of its specification (README of
/// github.com/huggingface/safetensors, section "Format"):
///
///     8 bytes   N, the header's length, unsigned little-endian, at most 100,000,000
///     N bytes   the header: JSON in UTF-8, the first byte '{', at the end maybe spaces
///     the rest  the tensors' elements, little-endian, row-major, in one buffer
///
/// The header maps each name to {"dtype", "shape", "data_offsets": [begin, end]} (offsets count
/// from the start of the buffer), and `__metadata__` to an object of strings. No key stands twice;
/// the tensors cover the buffer without holes or overlaps.
///
/// Element types: BOOL, U8, I8, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64. In memory the
/// tensors have convkit's order (tensor/layout.h); the file has PyTorch's.
namespace convkit::io {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

struct CONVKIT_API SafeTensors {
  NamedTensors tensors;  ///< in the order of the header
  Metadata metadata;

  /// The tensor of that name, or null.
  const Tensor* find(const std::string& name) const;
  /// The tensor of that name; throws ValueError saying which names there are.
  const Tensor& at(const std::string& name) const;
};

/// Reads a file. Throws IoError when it cannot be read, and FormatError, naming the file, the
/// tensor and the numbers, when it breaks the format, has a type (8-bit floats, say) or a rank
/// (above kMaxDim) that convkit has not, or a shape whose bytes are not there. No more memory is
/// taken than the file is long. A BOOL byte other than 0 counts as true.
CONVKIT_API SafeTensors load_safetensors(const std::string& path);
/// The same for bytes at hand; `name` stands in messages for the path.
CONVKIT_API SafeTensors parse_safetensors(std::span<const uint8_t> bytes,
                                          const std::string& name = "safetensors");

/// Writes a file, replacing it whole (see AtomicFile). The header lists the tensors in the order
/// given; in the buffer the larger element types come first, so that every element is aligned.
/// Throws ValueError for a name that is given twice, is `__metadata__` or not UTF-8, and for an
/// undefined tensor.
CONVKIT_API void save_safetensors(const std::string& path, const NamedTensors& tensors,
                                  const Metadata& metadata = {});
/// The bytes that save_safetensors writes.
CONVKIT_API std::vector<uint8_t> serialize_safetensors(const NamedTensors& tensors,
                                                       const Metadata& metadata = {});

}  // namespace convkit::io
