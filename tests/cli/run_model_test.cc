// convkit run: ONNX nets on arrays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "convkit/io/file.h"
#include "convkit/io/npy.h"
#include "tests/cli/run_tool.h"
#include "tests/support/temp_dir.h"

namespace convkit::cli {
namespace {

using testing::HasSubstr;

std::string digits_net() {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/opt-mnist.onnx";
}

class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    const Tensor digits =
        io::load_npy(std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/digits.npy");
    std::vector<float> seven(28 * 28);
    for (std::size_t i = 0; i < seven.size(); ++i)
      seven[i] = digits.data<uint8_t>()[35 * seven.size() + i];
    image = from_values(seven, {1, 1, 28, 28});
    io::save_npy(dir / "in.npy", image);
  }

  test::TempDir dir;
  Tensor image;
};

TEST_F(RunTest, WritesTheOutputsItIsAskedFor) {
  const Result result = convkit({"run", digits_net(), "--input", "Input3=" + dir / "in.npy",
                                 "--output", dir / "out.npy", "--json"});
  ASSERT_EQ(result.code, kSuccess) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  ASSERT_EQ(json["outputs"].size(), 1U);
  EXPECT_EQ(json["outputs"][0]["dtype"], "float32");
  EXPECT_EQ(json["outputs"][0]["shape"], nlohmann::json({1, 10}));
  const std::vector<float> scores = io::load_npy(dir / "out.npy").to_vector<float>();
  EXPECT_EQ(std::max_element(scores.begin(), scores.end()) - scores.begin(), 7);
}

TEST_F(RunTest, PrintsTheOutputsWithoutFiles) {
  const Result result = convkit({"run", digits_net(), "--input", dir / "in.npy"});
  ASSERT_EQ(result.code, kSuccess) << result.err;
  EXPECT_THAT(result.out, HasSubstr("float32 1×10\n"));
  EXPECT_THAT(result.out, HasSubstr("tensor("));
}

TEST_F(RunTest, SaysWhichInputsTheNetNeeds) {
  const Result result = convkit({"run", digits_net()});
  EXPECT_EQ(result.code, kWrongUsage);
  EXPECT_THAT(result.err, HasSubstr("--input Input3=FILE.npy   (float32 1×1×28×28)"));
}

TEST_F(RunTest, RefusesNamesThatTheNetHasNot) {
  const Result input = convkit({"run", digits_net(), "--input", "x=" + dir / "in.npy"});
  EXPECT_EQ(input.code, kWrongUsage);
  EXPECT_THAT(input.err, HasSubstr("the net has no input 'x'; there is Input3"));
  const Result output =
      convkit({"run", digits_net(), "--input", dir / "in.npy", "--output", "y=" + dir / "y.npy"});
  EXPECT_EQ(output.code, kWrongUsage);
  EXPECT_THAT(output.err, HasSubstr("the net has no output 'y'; there is Plus214_Output_0"));
}

TEST_F(RunTest, RefusesAnInputGivenTwice) {
  const Result result = convkit(
      {"run", digits_net(), "--input", dir / "in.npy", "--input", "Input3=" + dir / "in.npy"});
  EXPECT_EQ(result.code, kWrongUsage);
  EXPECT_THAT(result.err, HasSubstr("--input gives 'Input3' twice"));
}

TEST_F(RunTest, SaysHowToConvertAnArray) {
  io::save_npy(dir / "double.npy", image.to(DType::float64));
  const Result type = convkit({"run", digits_net(), "--input", dir / "double.npy"});
  EXPECT_EQ(type.code, kFailed);
  EXPECT_THAT(type.err, HasSubstr("the array is float64, but the input 'Input3' is float32"));
  EXPECT_THAT(type.err, HasSubstr("x.astype('float32')"));
  io::save_npy(dir / "flat.npy", image.reshaped({1, 784}));
  const Result shape = convkit({"run", digits_net(), "--input", dir / "flat.npy"});
  EXPECT_EQ(shape.code, kFailed);
  EXPECT_THAT(shape.err, HasSubstr("the array has the shape 1×784, but the input 'Input3' is "
                                   "float32 1×1×28×28; in Python: np.save(file, "
                                   "x.reshape(1, 1, 28, 28))"));
  io::save_npy(dir / "three.npy", zeros({3, 1, 28, 28}));
  EXPECT_THAT(convkit({"run", digits_net(), "--input", dir / "three.npy"}).err,
              HasSubstr("its batch is fixed: give 1 at a time"));
}

TEST_F(RunTest, RefusesAFileThatIsNoNet) {
  io::write_file(dir / "text.onnx", std::string_view("no net"));
  const Result result = convkit({"run", dir / "text.onnx"});
  EXPECT_EQ(result.code, kFailed);
  EXPECT_THAT(result.err, HasSubstr("is this an .onnx file"));
}

}  // namespace
}  // namespace convkit::cli
