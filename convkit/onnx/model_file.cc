#include "convkit/onnx/model_file.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace convkit::onnx {
namespace {

// Fields of ModelProto, GraphProto and TensorProto.
constexpr uint64_t kGraphField = 7;
constexpr uint64_t kInitializerField = 5;
constexpr uint64_t kRawDataField = 9;

constexpr uint64_t kVarint = 0;
constexpr uint64_t kEightBytes = 1;
constexpr uint64_t kLength = 2;
constexpr uint64_t kFourBytes = 5;

struct Field {
  uint64_t number = 0;
  uint64_t wire_type = 0;
  int64_t contents = 0;  ///< where they begin
  int64_t end = 0;
};

// A part of the message as it will be parsed.
struct Piece {
  io::Bytes bytes;
  std::vector<std::pair<std::size_t, FilePart>> left_out;

  void append_varint(uint64_t value) {
    constexpr uint64_t kMore = 0x80;
    for (; value >= kMore; value >>= 7) bytes.push_back(static_cast<uint8_t>(value | kMore));
    bytes.push_back(static_cast<uint8_t>(value));
  }
  void append_key(uint64_t number) { append_varint(number << 3 | kLength); }
  void append_message(uint64_t number, const Piece& message) {
    append_key(number);
    append_varint(message.bytes.size());
    for (const auto& [position, part] : message.left_out)
      left_out.emplace_back(bytes.size() + position, part);
    bytes.insert(bytes.end(), message.bytes.begin(), message.bytes.end());
  }
};

// Walks over the fields of the file without reading what they contain.
class Walker {
 public:
  explicit Walker(const io::InputFile& file) : file_(file) {}

  /// Nothing where the bytes are not fields.
  std::optional<Piece> model() {
    return without(0, file_.size(), kGraphField, [&](const Field& field, Piece& piece) {
      return add_message(field, piece, [&] {
        return without(field.contents, field.end, kInitializerField,
                       [&](const Field& tensor, Piece& graph) {
                         return add_message(tensor, graph, [&] { return initializer(tensor); });
                       });
      });
    });
  }

 private:
  std::optional<Piece> initializer(const Field& tensor) {
    return without(tensor.contents, tensor.end, kRawDataField, [](const Field& raw, Piece& piece) {
      piece.append_key(kRawDataField);
      piece.append_varint(0);
      piece.left_out.emplace_back(piece.bytes.size(),
                                  FilePart{raw.contents, raw.end - raw.contents});
      return true;
    });
  }

  template <class Make>
  static bool add_message(const Field& field, Piece& piece, Make&& make) {
    const std::optional<Piece> message = make();
    if (message) piece.append_message(field.number, *message);
    return message.has_value();
  }

  // The bytes [begin, end), in which add(field, piece) stands for each large field of that number.
  template <class Add>
  std::optional<Piece> without(int64_t begin, int64_t end, uint64_t number, Add&& add) {
    Piece piece;
    int64_t copied = begin;
    for (int64_t at = begin; at < end;) {
      const std::optional<Field> field = read_field(at, end);
      if (!field) return std::nullopt;
      if (field->number == number && field->wire_type == kLength &&
          field->end - field->contents >= kFewestDeferredBytes) {
        copy(copied, at, piece);
        if (!add(*field, piece)) return std::nullopt;
        copied = field->end;
      }
      at = field->end;
    }
    copy(copied, end, piece);
    return piece;
  }

  void copy(int64_t begin, int64_t end, Piece& piece) {
    const std::size_t size = piece.bytes.size();
    piece.bytes.resize(size + static_cast<std::size_t>(end - begin));
    file_.read_at(begin, std::span(piece.bytes).subspan(size));
  }

  std::optional<Field> read_field(int64_t at, int64_t end) {
    Field field;
    uint64_t key = 0;
    uint64_t value = 0;
    if (!read_varint(at, end, key)) return std::nullopt;
    field.number = key >> 3;
    field.wire_type = key & 7;
    switch (field.wire_type) {
      case kVarint:
        field.contents = at;
        if (!read_varint(at, end, value)) return std::nullopt;
        field.end = at;
        return field;
      case kEightBytes:
        value = 8;
        break;
      case kFourBytes:
        value = 4;
        break;
      case kLength:
        if (!read_varint(at, end, value)) return std::nullopt;
        break;
      default:
        return std::nullopt;
    }
    if (value > static_cast<uint64_t>(end - at)) return std::nullopt;
    field.contents = at;
    field.end = at + static_cast<int64_t>(value);
    return field;
  }

  // Moves `at` behind it.
  bool read_varint(int64_t& at, int64_t end, uint64_t& value) {
    constexpr int kMostBits = 63;
    value = 0;
    for (int shift = 0; shift <= kMostBits && at < end; shift += 7) {
      const uint8_t byte = byte_at(at++);
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  uint8_t byte_at(int64_t at) {
    constexpr int64_t kWindow = 4096;
    if (at < window_begin_ || at >= window_begin_ + std::ssize(window_)) {
      window_begin_ = at;
      window_.resize(static_cast<std::size_t>(std::min(kWindow, file_.size() - at)));
      file_.read_at(at, window_);
    }
    return window_[static_cast<std::size_t>(at - window_begin_)];
  }

  const io::InputFile& file_;
  int64_t window_begin_ = 0;
  io::Bytes window_;
};

}  // namespace

ModelFile read_model_file(const std::string& path) {
  const auto file = std::make_shared<const io::InputFile>(path);
  std::optional<Piece> piece;
  if (file->size() <= io::default_read_limit()) piece = Walker(*file).model();
  if (!piece) return {.file = nullptr, .bytes = io::read_file(path), .left_out = {}};
  ModelFile model{.file = file, .bytes = std::move(piece->bytes), .left_out = {}};
  model.left_out.insert(piece->left_out.begin(), piece->left_out.end());
  return model;
}

}  // namespace convkit::onnx
