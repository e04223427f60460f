#include "convkit/onnx/tensor_data.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <span>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/tensor/convert.h"
#include "convkit/tensor/deferred.h"
#include "convkit/tensor/layout.h"

namespace convkit::onnx {
namespace {

std::string quoted(std::string_view name) { return message("tensor '", name, "'"); }

int64_t parse_number(std::string_view text, const std::string& what) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  CONVKIT_CHECK(error == std::errc() && end == text.data() + text.size() && number >= 0,
                FormatError, what, " '", text, "' is no number ≥ 0");
  return number;
}

// A file has many names (a, ./a, .//a), but its bytes are counted once.
std::string one_spelling(std::string_view location) {
  std::filesystem::path path;
  for (const std::filesystem::path& part : std::filesystem::path(location))
    if (!part.empty() && part != ".") path /= part;
  return path.string();
}

// Throws unless `location` leads to a file below `folder` without leaving it on the way.
void check_location(const std::string& folder, const std::string& location) {
  namespace fs = std::filesystem;
  const fs::path path(location);
  const auto need = [&](bool condition, const char* what) {
    CONVKIT_CHECK(condition, FormatError, "external data '", location, "' ", what,
                  "; only files beside the model, or below its folder, are read");
  };
  need(!location.empty() && location.find('\0') == std::string::npos, "is no file name");
  need(path.is_relative(), "is an absolute path");
  fs::path here(folder);
  for (const fs::path& part : path) {
    need(part != "..", "has a '..'");
    here /= part;
    std::error_code ignored;
    need(!fs::is_symlink(fs::symlink_status(here, ignored)), "runs over a symbolic link");
  }
}

Shape shape_of(const TensorProto& proto) {
  for (const int64_t extent : proto.dims)
    CONVKIT_CHECK(extent >= 0, FormatError, quoted(proto.name), " has the shape ", proto.dims,
                  ", but no extent can be negative");
  CONVKIT_CHECK(std::ssize(proto.dims) <= kMaxDim, ShapeError, quoted(proto.name), " has ",
                proto.dims.size(), " axes; convkit's tensors have at most ", kMaxDim);
  return Shape(proto.dims);
}

int64_t bytes_of(const TensorProto& proto, const Shape& shape, DType dtype) {
  try {
    // Extents beside a 0 count too: strides are products of them.
    int64_t bytes = static_cast<int64_t>(item_size(dtype));
    for (const int64_t extent : shape) bytes = checked_mul(bytes, std::max<int64_t>(extent, 1));
    return shape.numel() == 0 ? 0 : bytes;
  } catch (const ValueError&) {
    throw FormatError(message(quoted(proto.name), ": the bytes of shape ", proto.dims,
                              " do not fit into 64 bits"));
  }
}

// A tensor of bytes in row-major order.
Tensor from_bytes(std::span<const uint8_t> bytes, const Shape& shape, DType dtype) {
  Tensor tensor(shape, dtype);
  const std::size_t item = item_size(dtype);
  const uint8_t* elements = bytes.data();
  Buffer<uint8_t> aligned;
  // In a file elements stand anywhere.
  if (reinterpret_cast<std::uintptr_t>(elements) % item != 0) {
    aligned = Buffer<uint8_t>(bytes.size());
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    elements = aligned.data();
  }
  row_major_to_memory(shape, item, elements, tensor.raw_mutable_data());
  if (dtype == DType::boolean) {
    // A bool of any other value would be undefined behaviour.
    auto* values = static_cast<uint8_t*>(tensor.raw_mutable_data());
    for (std::size_t i = 0; i < bytes.size(); ++i) values[i] = values[i] != 0 ? 1 : 0;
  }
  return tensor;
}

// Elements that stand in a file, in row-major order.
class FileSource final : public TensorSource {
 public:
  FileSource(std::shared_ptr<const io::InputFile> file, int64_t offset, Shape shape, DType dtype)
      : file_(std::move(file)), offset_(offset), shape_(shape), item_(item_size(dtype)) {}

  void read_rows(int64_t first, int64_t count, void* target) const override {
    const int64_t row = shape_.numel() / shape_[0] * static_cast<int64_t>(item_);
    const auto bytes = static_cast<std::size_t>(count * row);
    const int64_t from = offset_ + first * row;
    Integers extents(shape_.begin(), shape_.end());
    extents[0] = count;
    const Shape part(extents);
    if (is_row_major(part)) {
      read(from, {static_cast<uint8_t*>(target), bytes});
    } else {
      Buffer<uint8_t> buffer(bytes);
      read(from, {buffer.data(), bytes});
      row_major_to_memory(part, item_, buffer.data(), target);
    }
    file_->check_unchanged();
  }

 private:
  using Integers = std::vector<int64_t>;

  // In parts, so that several threads make the pages of fresh memory.
  void read(int64_t from, std::span<uint8_t> target) const {
    constexpr int64_t kPart = int64_t{1} << 20;
    const int64_t size = std::ssize(target);
    parallel_for((size + kPart - 1) / kPart, [&](int64_t part) {
      const int64_t begin = part * kPart;
      const int64_t length = std::min(kPart, size - begin);
      file_->read_at(from + begin, target.subspan(static_cast<std::size_t>(begin),
                                                  static_cast<std::size_t>(length)));
    });
  }

  std::shared_ptr<const io::InputFile> file_;
  int64_t offset_;
  Shape shape_;
  std::size_t item_;
};

// Elements that stand one by one in wider fields.
template <class Field>
Tensor from_fields(const TensorProto& proto, const std::vector<Field>& fields, const Shape& shape,
                   DType dtype) {
  CONVKIT_CHECK(std::ssize(fields) == shape.numel(), FormatError, quoted(proto.name), " of shape ",
                proto.dims, " needs ", shape.numel(), " elements, but has ", fields.size());
  Buffer<uint8_t> bytes(fields.size() * item_size(dtype));
  visit_dtype(dtype, [&]<class T>() {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      T element;
      if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
        element.bits = static_cast<uint16_t>(static_cast<int64_t>(fields[i]));
      } else if constexpr (std::is_same_v<T, bool>) {
        element = fields[i] != 0;
      } else {
        element = static_cast<T>(fields[i]);
      }
      std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
    }
  });
  return from_bytes({bytes.data(), bytes.size()}, shape, dtype);
}

}  // namespace

std::optional<DType> dtype_of(int32_t data_type) {
  switch (static_cast<DataType>(data_type)) {
    case DataType::float32:
      return DType::float32;
    case DataType::uint8:
      return DType::uint8;
    case DataType::int8:
      return DType::int8;
    case DataType::uint16:
      return DType::uint16;
    case DataType::int16:
      return DType::int16;
    case DataType::int32:
      return DType::int32;
    case DataType::int64:
      return DType::int64;
    case DataType::boolean:
      return DType::boolean;
    case DataType::float16:
      return DType::float16;
    case DataType::float64:
      return DType::float64;
    case DataType::uint32:
      return DType::uint32;
    case DataType::uint64:
      return DType::uint64;
    case DataType::bfloat16:
      return DType::bfloat16;
    default:
      return std::nullopt;
  }
}

const ExternalFiles::File& ExternalFiles::open(const std::string& location) {
  CONVKIT_CHECK(folder_.has_value(), FormatError, "the elements stand in the file '", location,
                "' beside the model, but the model itself was given as bytes; load it by its path");
  auto& file = files_[location];
  if (!file) {
    check_location(*folder_, location);
    file = std::make_shared<const io::InputFile>(*folder_ + "/" + location);
    bytes_of_files_ = checked_add(bytes_of_files_, file->size());
  }
  return file;
}

Tensor ExternalFiles::from_file(const File& file, const FilePart& part, const Shape& shape,
                                DType dtype) const {
  if (model_ != nullptr && dtype == DType::float32 && part.length >= kFewestDeferredBytes &&
      shape.dim() >= 1)
    return deferred(shape, dtype, std::make_shared<FileSource>(file, part.offset, shape, dtype));
  Buffer<uint8_t> buffer(static_cast<std::size_t>(part.length));
  file->read_at(part.offset, {buffer.data(), buffer.size()});
  return from_bytes({buffer.data(), buffer.size()}, shape, dtype);
}

std::optional<FilePart> ExternalFiles::left_out(std::string_view raw_data) const {
  if (model_ == nullptr || !raw_data.empty()) return std::nullopt;
  const auto* const at = reinterpret_cast<const uint8_t*>(raw_data.data());
  const uint8_t* const begin = model_->bytes.data();
  if (at < begin || at > begin + model_->bytes.size()) return std::nullopt;
  const auto found = model_->left_out.find(static_cast<std::size_t>(at - begin));
  if (found == model_->left_out.end()) return std::nullopt;
  return found->second;
}

Tensor ExternalFiles::read_left_out(const FilePart& part, const Shape& shape, DType dtype) const {
  return from_file(model_->file, part, shape, dtype);
}

Tensor ExternalFiles::read(const TensorProto& proto, const Shape& shape, DType dtype) {
  std::string location;
  int64_t offset = 0;
  const int64_t bytes = bytes_of(proto, shape, dtype);
  int64_t length = bytes;
  const std::string who = quoted(proto.name);
  for (const auto& [key, value] : proto.external_data) {
    if (key == "location") location = one_spelling(value);
    if (key == "offset") offset = parse_number(value, who + ": offset");
    if (key == "length") length = parse_number(value, who + ": length");
  }
  CONVKIT_CHECK(length == bytes, FormatError, who, " of shape ", proto.dims, " needs ", bytes,
                " bytes, but its external data has ", length);
  const Key key{location, offset, proto.dims, dtype};
  if (const auto found = tensors_.find(key); found != tensors_.end()) return found->second;
  const File& file = open(location);
  CONVKIT_CHECK(length <= file->size() && offset <= file->size() - length, FormatError, who, ": ",
                length, " bytes from ", offset, " on pass the end of '", location, "', which has ",
                file->size());
  bytes_read_ = checked_add(bytes_read_, length);
  CONVKIT_CHECK(bytes_read_ <= bytes_of_files_, FormatError, who, ": the tensors' places in '",
                location, "' overlap: together they are longer than the file");
  return tensors_[key] = from_file(file, {offset, length}, shape, dtype);
}

Tensor to_tensor(const TensorProto& proto, ExternalFiles& files) {
  const std::optional<DType> dtype = dtype_of(proto.data_type);
  CONVKIT_CHECK(dtype.has_value(), DTypeError, quoted(proto.name), " is of ",
                name_of(proto.data_type), ", which convkit has not");
  const Shape shape = shape_of(proto);
  const int64_t bytes = bytes_of(proto, shape, *dtype);
  if (proto.is_external) return files.read(proto, shape, *dtype);
  if (proto.has_raw_data) {
    const std::optional<FilePart> left_out = files.left_out(proto.raw_data);
    const int64_t length = left_out ? left_out->length : std::ssize(proto.raw_data);
    CONVKIT_CHECK(length == bytes, FormatError, quoted(proto.name), " of shape ", proto.dims,
                  " needs ", bytes, " bytes, but has ", length);
    if (left_out) return files.read_left_out(*left_out, shape, *dtype);
    return from_bytes(
        {reinterpret_cast<const uint8_t*>(proto.raw_data.data()), proto.raw_data.size()}, shape,
        *dtype);
  }
  switch (*dtype) {
    case DType::float32:
      return from_fields(proto, proto.float_data, shape, *dtype);
    case DType::float64:
      return from_fields(proto, proto.double_data, shape, *dtype);
    case DType::uint32:
    case DType::uint64:
      return from_fields(proto, proto.uint64_data, shape, *dtype);
    default:
      return from_fields(proto, proto.integer_data, shape, *dtype);
  }
}

}  // namespace convkit::onnx
