#include "convkit/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/io/file.h"
#include "convkit/io/safetensors_header.h"
#include "convkit/tensor/layout.h"

namespace convkit::io {
namespace {

static_assert(std::endian::native == std::endian::little, "elements are read as they stand");

// Fills a span with the bytes from an offset of the file on.
using Source = std::function<void(int64_t offset, std::span<uint8_t> target)>;

std::span<uint8_t> bytes_of(Tensor& tensor) {
  return {static_cast<uint8_t*>(tensor.raw_mutable_data()),
          static_cast<std::size_t>(tensor.numel()) * item_size(tensor.dtype())};
}

Tensor read_tensor(const SafeTensorsEntry& entry, int64_t offset, const Source& source) {
  Tensor tensor(entry.shape, entry.dtype);
  const std::span<uint8_t> memory = bytes_of(tensor);
  if (is_row_major(entry.shape)) {
    source(offset, memory);
  } else {
    Buffer<uint8_t> row_major(memory.size());
    source(offset, {row_major.data(), row_major.size()});
    row_major_to_memory(entry.shape, item_size(entry.dtype), row_major.data(), memory.data());
  }
  // A bool of any other value would be undefined behaviour.
  if (entry.dtype == DType::boolean)
    for (uint8_t& value : memory) value = value != 0 ? 1 : 0;
  return tensor;
}

SafeTensors read(int64_t file_bytes, const std::string& file, const Source& source) {
  std::vector<uint8_t> first(static_cast<std::size_t>(std::min(file_bytes, kLengthBytes)));
  source(0, first);
  std::vector<uint8_t> text(static_cast<std::size_t>(parse_header_length(first, file_bytes, file)));
  source(kLengthBytes, text);
  const int64_t start = kLengthBytes + std::ssize(text);
  SafeTensorsHeader header = parse_header(text, file_bytes - start, file);

  SafeTensors result;
  result.metadata = std::move(header.metadata);
  result.tensors.reserve(header.entries.size());
  for (SafeTensorsEntry& entry : header.entries) {
    Tensor tensor = read_tensor(entry, start + entry.begin, source);
    result.tensors.emplace_back(std::move(entry.name), std::move(tensor));
  }
  return result;
}

using Sink = std::function<void(std::span<const uint8_t>)>;

void write(const NamedTensors& tensors, const Metadata& metadata, const Sink& sink) {
  for (const auto& [name, tensor] : tensors)
    CONVKIT_CHECK(tensor.defined(), ValueError, "save_safetensors: '", name, "' is undefined");
  const auto item_of = [&](std::size_t i) { return item_size(tensors[i].second.dtype()); };
  std::vector<std::size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return item_of(a) > item_of(b); });

  SafeTensorsHeader header;
  header.metadata = metadata;
  header.entries.resize(tensors.size());
  int64_t end = 0;
  for (const std::size_t i : order) {
    const Tensor& tensor = tensors[i].second;
    const int64_t begin = end;
    end = checked_add(begin, checked_mul(tensor.numel(), static_cast<int64_t>(item_of(i))));
    header.entries[i] = {tensors[i].first, tensor.dtype(), tensor.shape(), begin, end};
  }
  const std::string text = format_header(header);
  std::array<uint8_t, kLengthBytes> length{};
  for (std::size_t i = 0; i < length.size(); ++i)
    length[i] = static_cast<uint8_t>(text.size() >> (8 * i));
  sink(length);
  sink({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  for (const std::size_t i : order) {
    const Tensor& tensor = tensors[i].second;
    Buffer<uint8_t> row_major(static_cast<std::size_t>(tensor.numel()) * item_of(i));
    memory_to_row_major(tensor.shape(), item_of(i), tensor.raw_data(), row_major.data());
    sink({row_major.data(), row_major.size()});
  }
}

}  // namespace

const Tensor* SafeTensors::find(const std::string& name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const auto& named) { return named.first == name; });
  return found == tensors.end() ? nullptr : &found->second;
}

const Tensor& SafeTensors::at(const std::string& name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  constexpr std::size_t kNamesShown = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(tensors.size(), kNamesShown); ++i)
    names += (i == 0 ? "" : ", ") + tensors[i].first;
  if (tensors.size() > kNamesShown) names += ", ...";
  throw ValueError(message("there is no tensor '", name, "' among the ", tensors.size(),
                           " of the file: ", names));
}

SafeTensors load_safetensors(const std::string& path) {
  const InputFile file(path);
  CONVKIT_CHECK(file.size() <= default_read_limit(), IoError, "cannot read '", path, "': it has ",
                file.size(), " bytes, more than this machine's memory of ", default_read_limit());
  return read(file.size(), path,
              [&](int64_t offset, std::span<uint8_t> target) { file.read_at(offset, target); });
}

SafeTensors parse_safetensors(std::span<const uint8_t> bytes, const std::string& name) {
  return read(std::ssize(bytes), name, [&](int64_t offset, std::span<uint8_t> target) {
    std::copy_n(bytes.begin() + offset, target.size(), target.begin());
  });
}

void save_safetensors(const std::string& path, const NamedTensors& tensors,
                      const Metadata& metadata) {
  AtomicFile file(path);
  write(tensors, metadata, [&](std::span<const uint8_t> bytes) { file.write(bytes); });
  file.commit();
}

std::vector<uint8_t> serialize_safetensors(const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<uint8_t> bytes;
  write(tensors, metadata, [&](std::span<const uint8_t> piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  });
  return bytes;
}

}  // namespace convkit::io
