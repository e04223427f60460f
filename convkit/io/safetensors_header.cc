#include "convkit/io/safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "convkit/base/checked.h"

namespace convkit::io {
namespace {

constexpr std::string_view kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, DType>, 13> kTypes = {{
    {"BOOL", DType::boolean},
    {"U8", DType::uint8},
    {"I8", DType::int8},
    {"I16", DType::int16},
    {"U16", DType::uint16},
    {"F16", DType::float16},
    {"BF16", DType::bfloat16},
    {"I32", DType::int32},
    {"U32", DType::uint32},
    {"F32", DType::float32},
    {"F64", DType::float64},
    {"I64", DType::int64},
    {"U64", DType::uint64},
}};

std::string_view type_name(DType dtype) {
  return std::find_if(kTypes.begin(), kTypes.end(),
                      [&](const auto& row) { return row.second == dtype; })
      ->first;
}

// Receives the parser's events and accepts the one structure a header may have. The parser keeps
// its own stack, and whatever is nested deeper than a header is refused at once, so that no input
// can exhaust memory.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(int64_t buffer_bytes, const std::string& file)
      : buffer_bytes_(buffer_bytes), file_(file) {}

  SafeTensorsHeader take() && { return std::move(header_); }

  bool key(std::string& name) override {
    switch (place_) {
      case Place::header:
        name_ = name;
        need(names_.insert(name).second, quoted(name), " stands twice in the header");
        break;
      case Place::metadata:
        key_ = name;
        need(header_.metadata.emplace(name, "").second, kMetadataKey, ": ", quoted(name),
             " stands twice");
        break;
      default:
        key_ = name;
        need(name == "dtype" || name == "shape" || name == "data_offsets", quoted(name_),
             ": unknown key ", quoted(name), "; an entry has dtype, shape and data_offsets");
        need(entry_keys_.insert(name).second, quoted(name_), ": ", quoted(name), " stands twice");
    }
    return true;
  }

  bool start_object(std::size_t /*elements*/) override {
    switch (place_) {
      case Place::outside:
        place_ = Place::header;
        return true;
      case Place::header:
        place_ = name_ == kMetadataKey ? Place::metadata : Place::entry;
        entry_keys_.clear();
        return true;
      default:
        return refuse("an object");
    }
  }

  bool end_object() override {
    if (place_ == Place::entry) finish_entry();
    place_ = place_ == Place::header ? Place::outside : Place::header;
    return true;
  }

  bool start_array(std::size_t /*elements*/) override {
    if (place_ != Place::entry || key_ == "dtype") return refuse("a list");
    place_ = Place::list;
    list_.clear();
    return true;
  }

  bool end_array() override {
    if (key_ == "shape") {
      shape_ = list_;
    } else {
      need(list_.size() == 2, quoted(name_), ": data_offsets ", to_text(list_),
           " must be [begin, end]");
      offsets_ = {list_[0], list_[1]};
    }
    place_ = Place::entry;
    return true;
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      header_.metadata[key_] = text;
    } else if (place_ == Place::entry && key_ == "dtype") {
      dtype_ = text;
    } else {
      return refuse("a string");
    }
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::list) return refuse("a number");
    need(value <= static_cast<uint64_t>(INT64_MAX), quoted(name_), ": ", key_, " holds ", value,
         ", which does not fit into 63 bits");
    // Longer than any shape: refuse it here rather than store millions of extents.
    need(list_.size() < static_cast<std::size_t>(kMaxDim), quoted(name_), ": ", key_,
         " has more than ", kMaxDim, " numbers; convkit's tensors have at most ", kMaxDim, " axes");
    list_.push_back(static_cast<int64_t>(value));
    return true;
  }

  bool number_integer(number_integer_t value) override {
    return refuse(message("the number ", value, ", where only integers >= 0 may stand"));
  }
  bool number_float(number_float_t /*value*/, const std::string& text) override {
    return refuse(message("the number ", text, ", where only integers >= 0 may stand"));
  }
  bool null() override { return refuse("null"); }
  bool boolean(bool value) override { return refuse(value ? "true" : "false"); }
  bool binary(binary_t& /*value*/) override { return refuse("binary data"); }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    std::string_view words = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    if (const auto bracket = words.find("] "); bracket != std::string_view::npos)
      words.remove_prefix(bracket + 2);
    need(false, "the header is not JSON near byte ", kLengthBytes + static_cast<int64_t>(position),
         " of the file: ", words);
    return false;
  }

 private:
  enum class Place { outside, header, metadata, entry, list };

  template <class... Parts>
  void need(bool condition, const Parts&... parts) const {
    CONVKIT_CHECK(condition, FormatError, file_, ": ", parts...);
  }

  static std::string quoted(std::string_view name) { return message("'", name, "'"); }

  bool refuse(const std::string& what) const {
    switch (place_) {
      case Place::outside:
        need(false, "the header is ", what, "; it must be an object");
        break;
      case Place::header:
        need(false, quoted(name_), " is ", what, "; it must be an object");
        break;
      case Place::metadata:
        need(false, kMetadataKey, ": ", quoted(key_), " is ", what, "; it must be a string");
        break;
      default:
        need(false, quoted(name_), ": ", key_, " is or holds ", what, "; ",
             key_ == "dtype" ? "it must be a string" : "it must be a list of integers >= 0");
    }
    return false;
  }

  void finish_entry() {
    for (const char* key : {"dtype", "shape", "data_offsets"})
      need(entry_keys_.contains(key), quoted(name_), " has no ", key);
    const auto* type = std::find_if(kTypes.begin(), kTypes.end(),
                                    [&](const auto& row) { return row.first == dtype_; });
    need(type != kTypes.end(), quoted(name_), ": dtype ", quoted(dtype_), " is not one convkit has",
         dtype_.starts_with("F8")
             ? " (8-bit floats: convert the tensor to F16 or F32)"
             : " (BOOL, U8, I8, U16, I16, F16, BF16, U32, I32, F32, U64, I64, F64)");
    const auto [begin, end] = offsets_;
    need(begin <= end, quoted(name_), ": data_offsets [", begin, ", ", end, "] run backwards");
    need(end <= buffer_bytes_, quoted(name_), ": data_offsets [", begin, ", ", end,
         "] pass the end of the data, which has ", buffer_bytes_,
         " bytes; the file may be cut short");
    const Shape shape(shape_);
    const int64_t item = static_cast<int64_t>(item_size(type->second));
    int64_t bytes = 0;
    try {
      bytes = checked_mul(shape.numel(), item);
    } catch (const ValueError&) {
      need(false, quoted(name_), ": the bytes of shape ", to_text(shape_),
           " do not fit into 64 bits");
    }
    need(bytes == end - begin, quoted(name_), ": ", dtype_, " of shape ", to_text(shape_),
         " needs ", bytes, " bytes, but data_offsets [", begin, ", ", end, "] give ", end - begin);
    header_.entries.push_back({name_, type->second, shape, begin, end});
  }

  int64_t buffer_bytes_;
  const std::string& file_;
  SafeTensorsHeader header_;
  Place place_ = Place::outside;
  std::set<std::string> names_;
  std::string name_;  // of the tensor at hand
  std::string key_;   // within it, or within the metadata
  std::set<std::string> entry_keys_;
  std::string dtype_;
  std::vector<int64_t> shape_;
  std::vector<int64_t> list_;
  std::pair<int64_t, int64_t> offsets_;
};

// The tensors, in the order of their offsets, must follow one another from 0 to the buffer's end.
void check_coverage(const std::vector<SafeTensorsEntry>& entries, int64_t buffer_bytes,
                    const std::string& file) {
  std::vector<const SafeTensorsEntry*> sorted;
  sorted.reserve(entries.size());
  for (const SafeTensorsEntry& entry : entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  int64_t covered = 0;
  for (const SafeTensorsEntry* entry : sorted) {
    CONVKIT_CHECK(entry->begin <= covered, FormatError, file, ": bytes ", covered, " to ",
                  entry->begin, " of the data, before '", entry->name, "', belong to no tensor");
    CONVKIT_CHECK(entry->begin == covered, FormatError, file, ": '", entry->name,
                  "' with data_offsets [", entry->begin, ", ", entry->end,
                  "] overlaps the tensor before it, which ends at ", covered);
    covered = entry->end;
  }
  CONVKIT_CHECK(covered == buffer_bytes, FormatError, file, ": bytes ", covered, " to ",
                buffer_bytes, " at the end of the data belong to no tensor");
}

}  // namespace

int64_t parse_header_length(std::span<const uint8_t> first, int64_t file_bytes,
                            const std::string& file) {
  CONVKIT_CHECK(file_bytes >= kLengthBytes && std::ssize(first) >= kLengthBytes, FormatError, file,
                ": ", file_bytes,
                " bytes are no safetensors file; the header's length alone takes ", kLengthBytes);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | first[static_cast<std::size_t>(i)];
  CONVKIT_CHECK(length <= static_cast<uint64_t>(kMaxHeaderBytes), FormatError, file,
                ": the first 8 bytes announce a header of ", length, " bytes; the format allows ",
                kMaxHeaderBytes, ". Is this a safetensors file?");
  CONVKIT_CHECK(static_cast<int64_t>(length) <= file_bytes - kLengthBytes, FormatError, file,
                ": the header should have ", length, " bytes, but after its length the file has ",
                file_bytes - kLengthBytes, "; it may be cut short");
  return static_cast<int64_t>(length);
}

SafeTensorsHeader parse_header(std::span<const uint8_t> bytes, int64_t buffer_bytes,
                               const std::string& file) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  CONVKIT_CHECK(
      text.starts_with('{'), FormatError, file, ": the header must begin with '{', not ",
      text.empty() ? std::string("be empty") : message("with byte ", static_cast<int>(bytes[0])));
  const std::size_t last = text.find_last_not_of(' ');
  text = text.substr(0, last + 1);
  CONVKIT_CHECK(text.ends_with('}'), FormatError, file, ": the header ends at byte ",
                kLengthBytes + static_cast<int64_t>(last), " with byte ",
                static_cast<int>(bytes[last]), "; behind its '}' only spaces may stand");
  HeaderReader reader(buffer_bytes, file);
  nlohmann::json::sax_parse(text, &reader);
  SafeTensorsHeader header = std::move(reader).take();
  check_coverage(header.entries, buffer_bytes, file);
  return header;
}

std::string format_header(const SafeTensorsHeader& header) {
  std::string text = "{";
  const auto append = [&](std::string_view name, const nlohmann::ordered_json& value) {
    if (text.size() > 1) text += ',';
    try {
      text += nlohmann::json(name).dump() + ':' + value.dump();
    } catch (const nlohmann::json::type_error&) {
      throw ValueError(message("save_safetensors: '", name, "' or its text is not UTF-8"));
    }
  };
  if (!header.metadata.empty()) append(kMetadataKey, header.metadata);
  std::set<std::string_view> names;
  for (const SafeTensorsEntry& entry : header.entries) {
    CONVKIT_CHECK(entry.name != kMetadataKey, ValueError,
                  "save_safetensors: a tensor cannot be named ", kMetadataKey,
                  "; the format reserves it");
    CONVKIT_CHECK(names.insert(entry.name).second, ValueError, "save_safetensors: the name '",
                  entry.name, "' is given twice");
    append(entry.name, {{"dtype", type_name(entry.dtype)},
                        {"shape", entry.shape.to_vector()},
                        {"data_offsets", {entry.begin, entry.end}}});
  }
  text += '}';
  text.resize(static_cast<std::size_t>(round_up(std::ssize(text), 8)), ' ');
  CONVKIT_CHECK(std::ssize(text) <= kMaxHeaderBytes, ValueError,
                "save_safetensors: the header has ", text.size(), " bytes; the format allows ",
                kMaxHeaderBytes);
  return text;
}

}  // namespace convkit::io
