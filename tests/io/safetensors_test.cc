#include "convkit/io/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "convkit/base/error.h"
#include "convkit/base/random.h"
#include "convkit/io/file.h"
#include "tests/support/limits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::io {
namespace {

using test::TempDir;
using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr DType kAllTypes[] = {DType::float32, DType::float64, DType::float16, DType::bfloat16,
                               DType::int8,    DType::uint8,   DType::int16,   DType::uint16,
                               DType::int32,   DType::uint32,  DType::int64,   DType::uint64,
                               DType::boolean};

std::string header_of(const Bytes& bytes) {
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  return std::string(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(length));
}

TEST(Safetensors, ReadsBackEveryTypeAndRankBitForBit) {
  const std::vector<Shape> shapes = {Shape{},
                                     {0},
                                     {5},
                                     {2, 3},
                                     {2, 3, 4},
                                     {2, 3, 4, 5},
                                     {3, 0, 2},
                                     {2, 3, 4, 1, 2},
                                     {1, 2, 1, 3, 1, 2, 1, 2}};
  Generator generator(1);
  NamedTensors tensors;
  for (const DType dtype : kAllTypes)
    for (const Shape& shape : shapes) {
      const Tensor values = rand(shape, generator, DType::float64);
      tensors.emplace_back(message(dtype, "/", shape), values.to(DType::float64).to(dtype));
    }
  const TempDir folder;
  const Metadata metadata = {{"format", "pt"}, {"", "empty key"}, {"Größe ∎ \"\\\n", "\t\u0001"}};
  save_safetensors(folder / "all.safetensors", tensors, metadata);
  const SafeTensors loaded = load_safetensors(folder / "all.safetensors");
  EXPECT_EQ(loaded.metadata, metadata);
  ASSERT_THAT(loaded.tensors, SizeIs(tensors.size()));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(loaded.tensors[i].first, tensors[i].first);
    EXPECT_TRUE(bit_equal(loaded.tensors[i].second, tensors[i].second)) << tensors[i].first;
  }
}

TEST(Safetensors, KeepsEveryBitOfTheExtremes) {
  const float nan_with_payload = std::bit_cast<float>(0x7FC12345U);
  const NamedTensors tensors = {
      {"f", from_values<float>({nan_with_payload, -0.0F, INFINITY, 1e-45F}, {4})},
      {"i", from_values<int64_t>({INT64_MIN, INT64_MAX}, {2})},
      {"u", from_values<uint64_t>({UINT64_MAX, 0}, {2})}};
  const SafeTensors read = parse_safetensors(serialize_safetensors(tensors));
  for (const auto& [name, tensor] : tensors) EXPECT_TRUE(bit_equal(read.at(name), tensor)) << name;
}

TEST(Safetensors, WritesRowMajorLittleEndianAlignedBytes) {
  // (1, 2, 1, 2): in memory the channels are innermost, in the file they are not.
  const NamedTensors tensors = {{"b", from_values<uint8_t>({7}, {1})},
                                {"x", from_values<int16_t>({0x0102, 3, 4, 5}, {1, 2, 1, 2})}};
  const Bytes bytes = serialize_safetensors(tensors, {{"k", "v"}});
  const std::string header = header_of(bytes);
  EXPECT_EQ(header.size() % 8, 0U);
  EXPECT_EQ(header.substr(0, header.find_last_not_of(' ') + 1),
            R"({"__metadata__":{"k":"v"},)"
            R"("b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},)"
            R"("x":{"dtype":"I16","shape":[1,2,1,2],"data_offsets":[0,8]}})");
  EXPECT_THAT(Bytes(bytes.begin() + 8 + std::ssize(header), bytes.end()),
              ElementsAre(2, 1, 3, 0, 4, 0, 5, 0, 7));
}

TEST(Safetensors, AlignsEveryTensorToItsElements) {
  NamedTensors tensors;
  for (const DType dtype : kAllTypes) tensors.emplace_back(message(dtype), zeros({3}, dtype));
  const Bytes bytes = serialize_safetensors(tensors);
  const std::string text = header_of(bytes);
  const auto header = nlohmann::json::parse(text);
  for (const auto& [name, tensor] : tensors) {
    const auto begin = header.at(name).at("data_offsets").at(0).get<std::size_t>();
    EXPECT_EQ((8 + text.size() + begin) % item_size(tensor.dtype()), 0U) << name;
  }
}

TEST(Safetensors, ReadsTheRealFileOfATrainedNet) {
  // Sums and elements by NumPy, in float64.
  const SafeTensors net =
      load_safetensors(std::string(CONVKIT_TEST_DATA) + "/data_files/burn-mnist.safetensors");
  ASSERT_THAT(net.tensors, SizeIs(20));
  EXPECT_EQ(net.tensors[0].first, "norm1.num_batches_tracked");
  EXPECT_EQ(net.at("norm1.num_batches_tracked").dtype(), DType::int64);
  EXPECT_EQ(net.at("norm1.num_batches_tracked").dim(), 0);
  EXPECT_EQ(net.at("norm1.num_batches_tracked").item(), 7504);
  const Tensor& weight = net.at("conv2.weight");
  EXPECT_EQ(weight.shape(), Shape({16, 8, 3, 3}));
  EXPECT_EQ(weight.at({3, 5, 1, 2}), -0.06054747F);
  double sum = 0;
  for (const float value : net.at("fc1.weight").to_vector<float>()) sum += value;
  EXPECT_NEAR(sum, -335.3114262489783, 1e-9);
}

TEST(Safetensors, NamesThePresentTensorsWhenOneIsMissing) {
  const SafeTensors read =
      parse_safetensors(serialize_safetensors({{"a", zeros({1})}, {"b", zeros({1})}}));
  EXPECT_EQ(read.find("c"), nullptr);
  EXPECT_ERROR(read.at("c"), ValueError, "'c'", "a, b");
}

TEST(Safetensors, RefusesToWriteWhatTheFormatCannotHold) {
  const Tensor x = zeros({1});
  EXPECT_ERROR(serialize_safetensors({{"a", x}, {"a", x}}), ValueError, "'a' is given twice");
  EXPECT_ERROR(serialize_safetensors({{"__metadata__", x}}), ValueError, "__metadata__",
               "reserves");
  EXPECT_ERROR(serialize_safetensors({{"a", Tensor()}}), ValueError, "'a' is undefined");
  EXPECT_ERROR(serialize_safetensors({{"\xFF", x}}), ValueError, "not UTF-8");
  EXPECT_ERROR(serialize_safetensors({{"a", x}}, {{"k", "\xC3"}}), ValueError, "__metadata__",
               "not UTF-8");
}

TEST(Safetensors, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDir folder;
  const std::string path = folder / "w.safetensors";
  save_safetensors(path, {{"a", ones({2})}});
  {
    const test::FileSizeLimit limit(4096);
    EXPECT_ERROR(save_safetensors(path, {{"a", zeros({5000})}}), IoError, path, "File too large");
  }
  EXPECT_EQ(load_safetensors(path).at("a").at({1}), 1);
}

TEST(Safetensors, SaysThatAFileIsMissingOrAFolder) {
  const TempDir folder;
  EXPECT_ERROR(load_safetensors(folder / "no.safetensors"), IoError, folder / "no.safetensors",
               "No such file");
  EXPECT_ERROR(load_safetensors(folder.path()), IoError, "it is a folder");
}

TEST(Safetensors, CountsEveryNonZeroByteOfABoolAsTrue) {
  Bytes bytes = serialize_safetensors({{"b", zeros({3}, DType::boolean)}});
  bytes[bytes.size() - 2] = 7;
  EXPECT_THAT(parse_safetensors(bytes).at("b").to(DType::uint8).to_vector<uint8_t>(),
              ElementsAre(0, 1, 0));
}

}  // namespace
}  // namespace convkit::io
