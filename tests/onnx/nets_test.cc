// Whole nets: topologies from ONNX's model zoo with constant weights, and a trained one.
#include <gtest/gtest.h>

#include <string>

#include "convkit/graph/print.h"
#include "convkit/infer/interpreter.h"
#include "convkit/io/npy.h"
#include "convkit/onnx/import.h"
#include "convkit/ops/reduce.h"
#include "tests/onnx/cases.h"

namespace convkit::onnx {
namespace {

std::string path_of(const std::string& name) {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/" + name;
}

class LightNet : public testing::TestWithParam<const char*> {};

TEST_P(LightNet, GivesItsExpectedOutput) {
  const std::string name = std::string("light_") + GetParam();
  const Model model = load_onnx(path_of(name + ".onnx"));
  ASSERT_EQ(model.graph.inputs.size(), 1U);
  const auto shape = model.graph.value(model.graph.inputs[0]).type.shape();
  ASSERT_TRUE(shape.has_value());
  std::vector<float> ramp(static_cast<std::size_t>(shape->numel()));
  for (std::size_t i = 0; i < ramp.size(); ++i)
    ramp[i] = static_cast<float>(i) / static_cast<float>(ramp.size());
  const std::vector<Tensor> outputs =
      infer::interpret(model.graph, std::vector<Tensor>{from_values(ramp, *shape)});
  ASSERT_FALSE(outputs.empty());
  const Tensor expected = load_tensor_proto(path_of(name + "_output_0.pb"));
  expect_equal(outputs[0], expected, name);
  const infer::Session session(model.graph);
  expect_equal(session(from_values(ramp, *shape)), expected, name + " of a session");
}

INSTANTIATE_TEST_SUITE_P(, LightNet,
                         testing::Values("bvlc_alexnet", "densenet121", "inception_v1",
                                         "inception_v2", "resnet50", "shufflenet", "squeezenet",
                                         "vgg19", "zfnet512"),
                         [](const auto& test) { return std::string(test.param); });

TEST(TrainedNet, KnowsDigits) {
  const Model model = load_onnx(path_of("opt-mnist.onnx"));
  const Tensor digits = io::load_npy(path_of("digits.npy")).to(DType::float32);
  int right = 0;
  for (int64_t i = 0; i < digits.size(0); ++i) {
    std::vector<float> pixels(28 * 28);
    std::copy_n(digits.data<float>() + i * 28 * 28, pixels.size(), pixels.begin());
    const std::vector<Tensor> outputs =
        infer::interpret(model.graph, std::vector<Tensor>{from_values(pixels, {1, 1, 28, 28})});
    const auto guess = ops::argmax(outputs[0].reshaped({10}), 0).item();
    if (static_cast<int64_t>(guess) == i / 5) ++right;
  }
  // A net of 98 % or so: more than three misses in fifty have a probability below 2 %.
  EXPECT_GE(right, 47);
}

}  // namespace
}  // namespace convkit::onnx
