// What users call: load() and the C API.
#include "convkit/onnx/load.h"

#include <gtest/gtest.h>

#include <string>

#include "convkit/c_api.h"
#include "convkit/infer/interpreter.h"
#include "convkit/onnx/import.h"
#include "tests/support/golden.h"

namespace convkit::onnx {
namespace {

std::string model_path() {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/opt-mnist.onnx";
}

TEST(Load, MakesANetThatRuns) {
  const auto net = load(model_path());
  const Tensor x = rand({1, 1, 28, 28});
  const Tensor y = net(x);
  const Tensor expected =
      infer::interpret(load_onnx(model_path()).graph, std::vector<Tensor>{x})[0];
  // Winograd's rounding errors, some 1e-6 of the largest numbers between the layers.
  test::expect_close(y, expected, 1e-3, 1e-4, "y");
}

TEST(CApi, GivesWhatTheSessionGives) {
  convkit_net* net = convkit_load(model_path().c_str());
  ASSERT_NE(net, nullptr) << convkit_last_error();
  ASSERT_EQ(convkit_input_count(net), 1U);
  EXPECT_NE(convkit_input_name(net, 0), nullptr);
  EXPECT_EQ(convkit_input_name(net, 1), nullptr);
  const Tensor x = rand({1, 1, 28, 28});
  std::vector<float> pixels = x.to_vector<float>();
  const convkit_tensor in = {CONVKIT_FLOAT32, 4, {1, 1, 28, 28}, pixels.data()};
  convkit_tensor out;
  ASSERT_EQ(convkit_run(net, &in, 1, &out, 1), 0) << convkit_last_error();
  const Tensor expected = load(model_path())(x);
  ASSERT_EQ(out.rank, expected.dim());
  const std::vector<float> numbers = expected.to_vector<float>();
  for (std::size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(static_cast<const float*>(out.data)[i], numbers[i]);
  convkit_free_tensor(&out);
  EXPECT_EQ(out.data, nullptr);
  convkit_free(net);
}

TEST(CApi, SaysWhatIsWrong) {
  EXPECT_EQ(convkit_load("/no/such/file.onnx"), nullptr);
  EXPECT_NE(std::string(convkit_last_error()).find("/no/such/file.onnx"), std::string::npos);
  convkit_net* net = convkit_load(model_path().c_str());
  ASSERT_NE(net, nullptr);
  float pixel = 0;
  convkit_tensor in = {CONVKIT_FLOAT32, 1, {1}, &pixel};
  convkit_tensor out;
  EXPECT_NE(convkit_run(net, &in, 1, &out, 1), 0);
  EXPECT_EQ(out.data, nullptr);
  EXPECT_NE(std::string(convkit_last_error()), "");
  in.rank = 9;
  EXPECT_NE(convkit_run(net, &in, 1, &out, 1), 0);
  EXPECT_NE(convkit_run(net, nullptr, 1, &out, 1), 0);
  EXPECT_NE(convkit_run(net, &in, 1, &out, 2), 0);
  convkit_free(net);
}

}  // namespace
}  // namespace convkit::onnx
