#include "convkit/io/media/idx.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/io/media/gzip.h"

namespace convkit::io::media {
namespace {

DType type_of(int code, const std::string& name) {
  switch (code) {
    case 0x08:
      return DType::uint8;
    case 0x09:
      return DType::int8;
    case 0x0B:
      return DType::int16;
    case 0x0C:
      return DType::int32;
    case 0x0D:
      return DType::float32;
    case 0x0E:
      return DType::float64;
    default:
      throw FormatError(message(name, ": not an IDX file: element type ", code,
                                " is none of 8, 9, 11, 12, 13, 14"));
  }
}

}  // namespace

Tensor IdxArray::tensor() const { return from_raw(values.data(), shape.numel(), shape, dtype); }

IdxArray read_idx(const std::string& path) { return parse_idx(read_maybe_gzip(path), path); }

IdxArray parse_idx(std::span<const uint8_t> bytes, const std::string& name) {
  CONVKIT_CHECK(
      bytes.size() >= 4 && bytes[0] == 0 && bytes[1] == 0, FormatError, name,
      ": not an IDX file: its ", bytes.size(),
      " bytes do not begin with two zero bytes, a type and the number of axes; fetch it anew");
  IdxArray array;
  array.dtype = type_of(bytes[2], name);
  const std::size_t axes = bytes[3];
  CONVKIT_CHECK(axes >= 1 && static_cast<int64_t>(axes) <= kMaxDim, FormatError, name, ": ", axes,
                " axes; IDX files have 1 to ", kMaxDim, " axes here");
  const std::size_t start = 4 + 4 * axes;
  CONVKIT_CHECK(bytes.size() >= start, FormatError, name, ": cut short after ", bytes.size(),
                " bytes, within its head of ", start, "; fetch the file anew");
  std::vector<int64_t> extents(axes);
  for (std::size_t i = 0; i < axes; ++i)
    for (std::size_t byte = 0; byte < 4; ++byte)
      extents[i] = extents[i] << 8 | bytes[4 + 4 * i + byte];
  array.shape = Shape(extents);

  const std::size_t item = item_size(array.dtype);
  int64_t needed = 0;
  try {
    needed = checked_mul(array.shape.numel(), static_cast<int64_t>(item));
  } catch (const ValueError&) {
    throw FormatError(
        message(name, ": the bytes of shape ", to_text(extents), " do not fit into 64 bits"));
  }
  const auto given = static_cast<int64_t>(bytes.size() - start);
  CONVKIT_CHECK(needed == given, FormatError, name, ": ", array.dtype, " of shape ",
                to_text(extents), " needs ", needed, " bytes, but ", given, " follow the head",
                given < needed ? "; the file is cut short" : "; the file is longer than it says",
                "; fetch it anew");
  array.values.assign(bytes.begin() + static_cast<std::ptrdiff_t>(start), bytes.end());
  if (item > 1) {
    for (auto at = array.values.begin(); at != array.values.end();
         at += static_cast<std::ptrdiff_t>(item))
      std::reverse(at, at + static_cast<std::ptrdiff_t>(item));
  }
  return array;
}

}  // namespace convkit::io::media
