// Weights that stay in the file until they are packed.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "convkit/base/memory.h"
#include "convkit/io/file.h"
#include "convkit/onnx/import.h"
#include "convkit/onnx/load.h"
#include "convkit/tensor/deferred.h"
#include "tests/onnx/writer.h"
#include "tests/support/golden.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::onnx {
namespace {

using namespace wire;

std::string random_raw(const Shape& shape, uint64_t seed) {
  Generator random(seed);
  return raw(randn(shape, random).to_vector<float>());
}

// A tensor in a file of its own.
Message external(const std::string& name, const std::vector<int64_t>& dims, int64_t offset) {
  return message_of([&](protozero::pbf_writer& t) {
    t.add_packed_int64(1, dims.begin(), dims.end());
    t.add_int32(2, 1);
    t.add_string(8, name);
    const std::pair<std::string, std::string> entries[] = {{"location", "w.bin"},
                                                           {"offset", std::to_string(offset)}};
    for (const auto& entry : entries)
      t.add_message(13, message_of([&](protozero::pbf_writer& e) {
                      e.add_string(1, entry.first);
                      e.add_string(2, entry.second);
                    }));
    t.add_int32(14, 1);
  });
}

// Convolutions of all kinds that packing distinguishes, with batch norm behind the first, and a
// dense layer.
Message net(bool is_external = false) {
  const auto weight = [&](const std::string& name, const std::vector<int64_t>& dims) {
    static constexpr int64_t kOffset = 12;
    return is_external && name == "w2" ? external(name, dims, kOffset)
                                       : tensor(name, dims, 1, random_raw(Shape(dims), dims[0]));
  };
  const std::vector<float> ones(48, 1.0F);
  std::vector<float> scales(48);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = 0.5F + 0.01F * static_cast<float>(i);
  const Message ends = attribute("pads", std::vector<int64_t>{1, 1, 1, 1});
  return model(
      graph({.nodes = {node("Conv", {"x", "w1"}, {"a"}, {ends}),
                       node("BatchNormalization", {"a", "scale", "ones", "ones", "ones"}, {"b"}),
                       node("Relu", {"b"}, {"c"}), node("Conv", {"c", "w2"}, {"d"}, {ends}),
                       node("Conv", {"d", "w3"}, {"e"}, {attribute("group", int64_t{2})}),
                       node("ConvTranspose", {"e", "w4"}, {"f"}), node("Flatten", {"f"}, {"g"}),
                       node("Gemm", {"g", "w5"}, {"y"}, {attribute("transB", int64_t{1})})},
             .initializers = {weight("w1", {48, 64, 3, 3}), floats("scale", {48}, scales),
                              floats("ones", {48}, ones), weight("w2", {260, 48, 3, 3}),
                              weight("w3", {260, 130, 1, 1}), weight("w4", {260, 9, 3, 3}),
                              weight("w5", {77, 9 * 8 * 7})},
             .inputs = {value("x", {-1, 64, 6, 5})},
             .outputs = {value("y", {-1, 77})}}),
      13);
}

class WeightsInFile : public testing::Test {
 protected:
  std::string path() const { return dir / "net.onnx"; }
  std::string write(const Message& message) const {
    io::write_file(path(), std::string_view(message));
    return path();
  }
  test::TempDir dir;
};

TEST_F(WeightsInFile, AreTheSameNumbers) {
  write(net());
  const Model memory = load_onnx(path());
  const Model file = load_onnx(path(), WeightsIn::file);
  ASSERT_EQ(file.graph.values.size(), memory.graph.values.size());
  int deferred_count = 0;
  for (std::size_t i = 0; i < file.graph.values.size(); ++i) {
    const Tensor& actual = file.graph.values[i].constant;
    const Tensor& expected = memory.graph.values[i].constant;
    ASSERT_EQ(actual.defined(), expected.defined());
    if (!actual.defined()) continue;
    if (source_of(actual) != nullptr) ++deferred_count;
    EXPECT_TRUE(bit_equal(actual, expected)) << file.graph.values[i].name;
  }
  EXPECT_EQ(deferred_count, 5);
}

TEST_F(WeightsInFile, GiveTheSameBitsAsThoseInMemory) {
  const Message message = net();
  const auto in_file = load(write(message));
  const auto in_memory =
      load(std::span(reinterpret_cast<const uint8_t*>(message.data()), message.size()));
  for (const int64_t batch : {1, 3}) {
    const Tensor x = rand({batch, 64, 6, 5});
    EXPECT_TRUE(bit_equal(in_file(x), in_memory(x))) << "batch " << batch;
  }
}

TEST_F(WeightsInFile, AreHeldOnceAsTheStepsReadThem) {
  write(net());
  const std::size_t before = allocated_bytes();
  const auto session = load(path());
  EXPECT_LT(allocated_bytes() - before, std::size_t{64} << 10);
  const std::vector<Tensor> inputs = {rand({1, 64, 6, 5})};
  static_cast<void>(session.run(inputs));
  int64_t packed = 0;
  for (const infer::StepDescription& step : session.steps(inputs)) packed += step.weight_bytes;
  EXPECT_LT(allocated_bytes() - before,
            static_cast<std::size_t>(packed + session.arena_bytes(inputs)) * 9 / 8 + (64 << 10));
}

// Bytes are gone after the call: what is not packed in another form is kept, and plans for other
// shapes find the same numbers.
TEST_F(WeightsInFile, GivenAsBytesAreHeldOnceWhereThePackedOnesAreTheSameNumbers) {
  const auto weight = [](const std::string& name, const std::vector<int64_t>& dims) {
    return tensor(name, dims, 1, random_raw(Shape(dims), dims[0]));
  };
  const std::vector<float> ones(512, 1.0F);
  const std::vector<float> scales(512, 0.75F);
  const Message message = model(
      graph({.nodes = {node("Conv", {"x", "w1"}, {"a"}),
                       node("BatchNormalization", {"a", "scale", "ones", "ones", "ones"}, {"b"}),
                       node("Relu", {"b"}, {"c"}), node("Conv", {"c", "w2"}, {"d"}),
                       node("Flatten", {"d"}, {"e"}),
                       node("Gemm", {"e", "w3"}, {"y"}, {attribute("transB", int64_t{1})})},
             .initializers = {weight("w1", {512, 64, 1, 1}), floats("scale", {512}, scales),
                              floats("ones", {512}, ones), weight("w2", {64, 512, 1, 1}),
                              weight("w3", {500, 64 * 30})},
             .inputs = {value("x", {-1, 64, 6, 5})},
             .outputs = {value("y", {-1, 500})}}),
      13);
  const auto load_bytes = [&] {
    return load(std::span(reinterpret_cast<const uint8_t*>(message.data()), message.size()));
  };
  const std::size_t before = allocated_bytes();
  const auto session = load_bytes();
  const std::vector<Tensor> inputs = {rand({1, 64, 6, 5})};
  static_cast<void>(session.run(inputs));
  int64_t packed = 0;
  for (const infer::StepDescription& step : session.steps(inputs)) packed += step.weight_bytes;
  EXPECT_GE(packed, int64_t{4} << 20);
  // Blocks are up to an eighth larger than what they hold.
  EXPECT_LT(allocated_bytes() - before,
            static_cast<std::size_t>(packed + session.arena_bytes(inputs)) * 9 / 8 + (64 << 10));
  const std::vector<Tensor> more = {rand({7, 64, 6, 5})};
  EXPECT_TRUE(bit_equal(session.run(more)[0], load_bytes().run(more)[0]));
}

TEST_F(WeightsInFile, ComeFromTheFileThatWasOpened) {
  const auto session = load(write(net()));
  const Tensor x = rand({1, 64, 6, 5});
  const Tensor y = session(x);
  // write_file() renames another file over it, which leaves the first as it was.
  write(message_of([](protozero::pbf_writer&) {}));
  EXPECT_TRUE(bit_equal(session(x), y));
  EXPECT_EQ(session(rand({2, 64, 6, 5})).size(0), 2);
}

TEST_F(WeightsInFile, AreNotTakenFromAFileThatWasChanged) {
  const auto session = load(write(net()));
  static_cast<void>(session(rand({1, 64, 6, 5})));
  std::filesystem::resize_file(path(), 100);
  static_cast<void>(session(rand({1, 64, 6, 5})));  // planned already
  EXPECT_ERROR(session(rand({2, 64, 6, 5})), IoError, path());
  write(net());
  const auto other = load(path());
  std::filesystem::last_write_time(
      path(), std::filesystem::last_write_time(path()) + std::chrono::seconds(1));
  EXPECT_ERROR(other(rand({1, 64, 6, 5})), IoError, "was written to", path());
}

TEST_F(WeightsInFile, MayStandBesideTheModel) {
  io::write_file(dir / "w.bin",
                 std::string_view(std::string(12, '\0') + random_raw({260, 48, 3, 3}, 260)));
  const auto plain = load(write(net()));
  const Tensor x = rand({1, 64, 6, 5});
  const Tensor y = plain(x);
  EXPECT_TRUE(bit_equal(load(write(net(/*is_external=*/true)))(x), y));
}

// Whatever the bytes, the file gives what its bytes in memory give: a graph or an error.
TEST_F(WeightsInFile, AreRefusedAsThoseInMemory) {
  const auto outcome = [&](WeightsIn where) -> std::string {
    try {
      const Model model = load_onnx(path(), where);
      std::size_t hash = model.graph.nodes.size();
      for (const graph::Value& value : model.graph.values)
        if (value.is_constant())
          hash = hash * 31 + std::hash<std::string_view>()(std::string_view(
                                 static_cast<const char*>(value.constant.raw_data()),
                                 static_cast<std::size_t>(value.constant.numel()) *
                                     item_size(value.constant.dtype())));
      return std::to_string(hash);
    } catch (const Error& error) {
      return error.what();
    }
  };
  const Message sound = net();
  std::vector<Message> all = {sound, "", sound + sound, sound + "\x80", "\x3a\xff\xff\xff\xff\x0f"};
  const std::size_t step = sound.size() / 41;
  for (std::size_t i = 0; i < sound.size(); i += step) all.push_back(sound.substr(0, i));
  // Bits of the first, and of a few other bytes, where keys and lengths stand.
  for (std::size_t i = 0; i < sound.size(); i = i < 120 ? i + 1 : i + step) {
    all.push_back(sound);
    all.back()[i] = static_cast<char>(all.back()[i] ^ (1 << i % 8));
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    write(all[i]);
    EXPECT_EQ(outcome(WeightsIn::file), outcome(WeightsIn::memory)) << "case " << i;
  }
}

}  // namespace
}  // namespace convkit::onnx
