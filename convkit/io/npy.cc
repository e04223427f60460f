#include "convkit/io/npy.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/io/file.h"
#include "convkit/tensor/layout.h"

namespace convkit::io {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// Structured arrays, which are refused, are the only ones with long headers.
constexpr std::size_t kMaxHeader = std::size_t{1} << 20;

constexpr std::array<std::pair<std::string_view, DType>, 12> kTypes = {{
    {"<f4", DType::float32},
    {"<f8", DType::float64},
    {"<f2", DType::float16},
    {"|i1", DType::int8},
    {"|u1", DType::uint8},
    {"<i2", DType::int16},
    {"<u2", DType::uint16},
    {"<i4", DType::int32},
    {"<u4", DType::uint32},
    {"<i8", DType::int64},
    {"<u8", DType::uint64},
    {"|b1", DType::boolean},
}};

// Reads the header: one Python dictionary of strings, truth values and a tuple of integers.
class LiteralReader {
 public:
  LiteralReader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  struct Header {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
  };

  Header read() {
    Header header;
    expect('{');
    while (!take('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr") {
        need(peek() != '[', "a structured array; save its fields one by one");
        need(!std::exchange(has_descr_, true), "'descr' stands twice");
        header.descr = string();
      } else if (key == "fortran_order") {
        need(!header.fortran_order, "'fortran_order' stands twice");
        header.fortran_order = truth();
      } else if (key == "shape") {
        need(!header.shape, "'shape' stands twice");
        header.shape = tuple();
      } else {
        need(false, "unknown key '", key, "'");
      }
      if (take('}')) break;
      expect(',');
    }
    need(peek() == '\0' && at_ == text_.size(), "text behind the header's '}'");
    need(header.descr && header.fortran_order && header.shape,
         "the header must have 'descr', 'fortran_order' and 'shape'");
    return header;
  }

 private:
  template <class... Parts>
  void need(bool condition, const Parts&... parts) const {
    CONVKIT_CHECK(condition, FormatError, file_, ": npy header, character ", at_, ": ", parts...);
  }

  // The next character that is no space, or 0 at the end.
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char wanted) {
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) { need(take(wanted), "expected '", wanted, "'"); }

  std::string string() {
    const char quote = peek();
    need(quote == '\'' || quote == '"', "expected a string");
    const std::size_t end = text_.find(quote, at_ + 1);
    need(end != std::string_view::npos, "a string without an end");
    const std::string_view value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return std::string(value);
  }

  bool truth() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    need(false, "expected True or False");
    return false;
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!take(')')) {
      need(values.size() < static_cast<std::size_t>(kMaxDim), "the array has more than ", kMaxDim,
           " axes, the most convkit's tensors have");
      values.push_back(integer());
      if (take(')')) break;
      expect(',');
    }
    return values;
  }

  int64_t integer() {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    need(is_digit(peek()), "expected an integer >= 0");
    int64_t value = 0;
    for (; at_ < text_.size() && is_digit(text_[at_]); ++at_) {
      const bool wraps = __builtin_mul_overflow(value, 10, &value) ||
                         __builtin_add_overflow(value, text_[at_] - '0', &value);
      need(!wraps, "an extent that does not fit into 63 bits");
    }
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote it
    return value;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  bool has_descr_ = false;
};

DType type_of(const std::string& descr, const std::string& file) {
  for (const auto& [code, dtype] : kTypes) {
    // For single bytes numpy writes '|'; the other marks mean the same.
    if (descr == code ||
        (item_size(dtype) == 1 && descr.size() == 3 && descr.ends_with(code.substr(1))))
      return dtype;
  }
  const std::string_view hint =
      descr.starts_with('>')
          ? "; it is big-endian: save array.astype(array.dtype.newbyteorder('<'))"
      : descr.find('O') != std::string::npos
          ? "; it holds pickled Python objects, which could run any program: save numbers"
          : "; convert it to bool, an integer or a float type first";
  throw FormatError(message(file, ": convkit has no element type '", descr, "'", hint));
}

Tensor from_fortran(const uint8_t* values, const Shape& shape, DType dtype) {
  // Fortran order is the row-major order of the reversed axes.
  std::vector<int64_t> extents = shape.to_vector();
  std::reverse(extents.begin(), extents.end());
  const Tensor reversed = from_raw(values, shape.numel(), Shape(extents), dtype);
  std::vector<int64_t> permutation(extents.size());
  std::iota(permutation.rbegin(), permutation.rend(), int64_t{0});
  Tensor tensor(shape, dtype);
  permute_memory(reversed.shape(), permutation, item_size(dtype), reversed.raw_data(),
                 tensor.raw_mutable_data());
  return tensor;
}

}  // namespace

Tensor load_npy(const std::string& path) { return parse_npy(read_file(path), path); }

Tensor parse_npy(std::span<const uint8_t> bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CONVKIT_CHECK(text.starts_with(kMagic), FormatError, name,
                ": not an npy file: it does not begin with \\x93NUMPY; write one with numpy.save");
  CONVKIT_CHECK(bytes.size() >= 10, FormatError, name, ": cut short after ", bytes.size(),
                " bytes");
  const int major = bytes[6];
  CONVKIT_CHECK(major >= 1 && major <= 3 && bytes[7] == 0, FormatError, name, ": npy version ",
                major, ".", static_cast<int>(bytes[7]), "; known are 1.0, 2.0 and 3.0");
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  const std::size_t start = 8 + length_bytes;
  CONVKIT_CHECK(bytes.size() >= start, FormatError, name, ": cut short after ", bytes.size(),
                " bytes");
  std::size_t length = 0;
  for (std::size_t i = length_bytes; i-- > 0;) length = length << 8 | bytes[8 + i];
  CONVKIT_CHECK(length <= kMaxHeader, FormatError, name, ": a header of ", length,
                " bytes; the limit is ", kMaxHeader);
  CONVKIT_CHECK(length <= bytes.size() - start, FormatError, name, ": the header should have ",
                length, " bytes, but only ", bytes.size() - start,
                " follow; the file is cut short");

  const LiteralReader::Header header = LiteralReader(text.substr(start, length), name).read();
  const DType dtype = type_of(*header.descr, name);
  const Shape shape(*header.shape);
  const int64_t given = std::ssize(bytes) - static_cast<int64_t>(start + length);
  int64_t needed = 0;
  try {
    needed = checked_mul(shape.numel(), static_cast<int64_t>(item_size(dtype)));
  } catch (const ValueError&) {
    throw FormatError(
        message(name, ": the bytes of shape ", to_text(*header.shape), " do not fit into 64 bits"));
  }
  CONVKIT_CHECK(needed == given, FormatError, name, ": ", dtype, " of shape ",
                to_text(*header.shape), " needs ", needed, " bytes, but ", given,
                " follow the header", given < needed ? "; the file is cut short" : "");
  const uint8_t* values = bytes.data() + start + length;
  Buffer<uint8_t> truths;
  if (dtype == DType::boolean) {  // a bool of any other value would be undefined behaviour
    truths = Buffer<uint8_t>(static_cast<std::size_t>(given));
    std::transform(values, values + given, truths.data(), [](uint8_t value) { return value != 0; });
    values = truths.data();
  }
  if (*header.fortran_order) return from_fortran(values, shape, dtype);
  return from_raw(values, shape.numel(), shape, dtype);
}

std::vector<uint8_t> serialize_npy(const Tensor& tensor) {
  const auto* type = std::find_if(kTypes.begin(), kTypes.end(),
                                  [&](const auto& row) { return row.second == tensor.dtype(); });
  CONVKIT_CHECK(type != kTypes.end(), DTypeError, "save_npy: NumPy has no ", tensor.dtype(),
                "; convert the tensor with to(DType::float32)");
  std::string shape = "(";
  for (const int64_t extent : tensor.shape()) shape += message(extent, ", ");
  if (tensor.dim() > 1) shape.resize(shape.size() - 2);
  if (tensor.dim() == 1) shape.pop_back();
  std::string header =
      message("{'descr': '", type->first, "', 'fortran_order': False, 'shape': ", shape, "), }");
  // The elements begin at a multiple of 64 bytes, as numpy wants it for memory maps.
  constexpr std::size_t kPrefix = 10;
  const auto padded = static_cast<std::size_t>(
      round_up(static_cast<int64_t>(kPrefix + header.size() + 1), 64) - int64_t{kPrefix});
  header.resize(padded - 1, ' ');
  header += '\n';

  std::string prefix(kMagic);
  for (const std::size_t byte : {std::size_t{1}, std::size_t{0}, padded & 0xFF, padded >> 8})
    prefix += static_cast<char>(byte);
  prefix += header;
  const std::size_t start = prefix.size();
  const std::size_t item = item_size(tensor.dtype());
  std::vector<uint8_t> bytes(start + static_cast<std::size_t>(tensor.numel()) * item);
  std::copy(prefix.begin(), prefix.end(), bytes.begin());
  memory_to_row_major(tensor.shape(), item, tensor.raw_data(), bytes.data() + start);
  return bytes;
}

void save_npy(const std::string& path, const Tensor& tensor) {
  write_file(path, serialize_npy(tensor));
}

}  // namespace convkit::io
