#include "tests/fuzz/seeds.h"

#include <stdexcept>

#include "convkit/base/cpu.h"
#include "convkit/base/version.h"
#include "convkit/io/folder.h"
#include "convkit/io/npy.h"
#include "convkit/io/safetensors.h"
#include "convkit/train/model_card.h"
#include "tests/fuzz/nets.h"
#include "tests/support/write_gzip.h"

namespace convkit::fuzz {
namespace {

using io::Bytes;

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

std::vector<Bytes> files_ending_with(const std::vector<std::string>& endings) {
  const std::string folder = std::string(CONVKIT_TEST_DATA) + "/data_files";
  std::vector<Bytes> files;
  for (const std::string& name : io::list_folder(folder).files)
    for (const std::string& ending : endings)
      if (name.ends_with(ending)) files.push_back(io::read_file(io::join_path(folder, name)));
  return files;
}

Bytes idx_file(uint8_t type, const std::vector<uint8_t>& extents, std::size_t bytes) {
  Bytes file = {0, 0, type, static_cast<uint8_t>(extents.size())};
  for (const uint8_t extent : extents) file.insert(file.end(), {0, 0, 0, extent});
  for (std::size_t i = 0; i < bytes; ++i) file.push_back(static_cast<uint8_t>(i));
  return file;
}

std::vector<Bytes> idx_files() {
  std::vector<Bytes> files = {idx_file(8, {2, 3, 2}, 12), idx_file(0x0D, {3}, 12),
                              idx_file(0x0B, {1, 2}, 4)};
  files.push_back(test::gzip(files[0]));
  return files;
}

std::vector<Bytes> cifar_files() {
  constexpr std::size_t kRecord = 1 + 3 * 32 * 32;
  Bytes cifar10(1 + kRecord, 3);
  cifar10[0] = 0;
  Bytes cifar100(2 + kRecord, 3);
  cifar100[0] = 1;
  return {cifar10, cifar100};
}

std::vector<Bytes> safetensors_files() {
  return {io::serialize_safetensors({}),
          io::serialize_safetensors({{"a", arange(6).reshaped({1, 2, 3})},
                                     {"b", zeros({2}, DType::boolean)},
                                     {"c", full({}, 2, DType::float16)}},
                                    {{"format", "pt"}, {"a \"quoted\" key", "\xc3\xa4\n"}})};
}

std::vector<Bytes> cards() {
  const train::ModelCard card{
      .config = {}, .input = {1, 8, 8}, .classes = {"a", "b"}, .mean = {0.5F}, .std = {0.25F}};
  return {bytes_of(train::to_metadata(card).at("convkit"))};
}

std::vector<Bytes> tuning_files() {
  return {bytes_of("{\"cpu\":\"" + cpu_model() + "\",\"convkit\":\"" + kVersionString +
                   "\",\"records\":[{\"problem\":\"mb1ic8ih8oc8oh8kh3ph1\",\"direction\":"
                   "\"forward\",\"exactness\":\"fast\",\"weights\":\"fixed\",\"simd\":\"AVX2\","
                   "\"microseconds\":{\"direct\":12.5,\"reference\":100}}]}")};
}

}  // namespace

std::vector<Bytes> seeds_of(const std::string& reader) {
  if (reader == "safetensors") return safetensors_files();
  if (reader == "npy") return files_ending_with({".npy"});
  if (reader == "idx") return idx_files();
  if (reader == "cifar") return cifar_files();
  if (reader == "image") return files_ending_with({".png", ".jpg"});
  if (reader == "onnx") return small_nets();
  if (reader == "onnx_external") return nets_with_data();
  if (reader == "tensor_proto") return tensors_of_every_kind();
  if (reader == "config") return {bytes_of(train::to_json({})), bytes_of("{}")};
  if (reader == "model_card") return cards();
  if (reader == "tuning") return tuning_files();
  throw std::invalid_argument("no reader is named " + reader);
}

}  // namespace convkit::fuzz
