// convkit predict with nets in ONNX files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "convkit/base/text.h"
#include "convkit/io/file.h"
#include "convkit/io/media/image.h"
#include "convkit/io/npy.h"
#include "convkit/onnx/export.h"
#include "tests/cli/run_tool.h"
#include "tests/support/picture_folder.h"
#include "tests/support/temp_dir.h"

namespace convkit::cli {
namespace {

using graph::Op;
using io::media::Image;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

std::string data_file(const std::string& name) {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/onnx/" + name;
}

class PredictOnnx : public testing::Test {
 protected:
  json predict(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "predict");
    arguments.emplace_back("--json");
    const Result result = convkit(arguments);
    EXPECT_EQ(result.code, kSuccess) << result.err;
    return result.code == kSuccess ? json::parse(result.out) : json::object();
  }
  void expect_error(std::vector<std::string> arguments, int code, const std::string& words) {
    arguments.insert(arguments.begin(), "predict");
    const Result result = convkit(arguments);
    EXPECT_EQ(result.code, code) << result.out;
    EXPECT_THAT(result.err, HasSubstr(words));
  }

  std::string picture(const std::string& name, int64_t height, int64_t width, int64_t channels,
                      const std::function<int64_t(int64_t y, int64_t x, int64_t c)>& pixel) {
    Image image{{height, width, channels}, {}};
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        for (int64_t c = 0; c < channels; ++c)
          image.pixels.push_back(static_cast<uint8_t>(pixel(y, x, c)));
    io::media::write_png(dir / name, image);
    return dir / name;
  }
  std::string text(const std::string& name, const std::string& content) {
    io::write_file(dir / name, std::string_view(content));
    return dir / name;
  }

  // A net that gives the mean of each channel of an input of this type, and then `op`.
  std::string means(const std::string& name, const std::vector<graph::Dim>& dims,
                    Op op = Op::identity, graph::Attributes attributes = {}) {
    graph::Graph g;
    g.name = "means";
    const graph::ValueId x = g.add_input("picture", {.dtype = DType::float32, .dims = dims});
    const bool last = dims.size() == 4 && dims[3].extent == 3;
    const std::vector<int64_t> axes =
        last ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{2, 3};
    const graph::ValueId list = g.add_constant("axes", from_values(axes, {2}));
    const graph::ValueId mean =
        g.add_node(Op::reduce_mean, "mean", {x, list},
                   {{"keepdims", int64_t{0}}, {"noop_with_empty_axes", int64_t{0}}});
    g.outputs = {g.add_node(op, "scores", {mean}, std::move(attributes))};
    onnx::save_onnx(dir / name, g);
    return dir / name;
  }
  static std::vector<graph::Dim> open_dims() {
    return {{.extent = graph::kUnknown, .name = "N"}, {.extent = 3}, {}, {}};
  }

  test::TempDir dir;
};

TEST_F(PredictOnnx, ReadsDigits) {
  const Tensor digits = io::load_npy(data_file("digits.npy"));
  std::vector<std::string> arguments = {data_file("opt-mnist.onnx"), "--raw", "--top", "1"};
  for (int64_t digit = 0; digit < 10; ++digit)
    arguments.push_back(
        picture(message(digit, ".png"), 28, 28, 1, [&](int64_t y, int64_t x, int64_t) {
          return digits.data<uint8_t>()[((5 * digit) * 28 + y) * 28 + x];
        }));
  arguments.insert(arguments.end(), {"--labels", text("names.txt",
                                                      "zero\none\r\ntwo\nthree\nfour\n"
                                                      "five\nsix\nseven\neight\nnine\n\n")});
  const json found = predict(arguments);
  EXPECT_EQ(found["softmax"], true);
  int right = 0;
  for (std::size_t digit = 0; digit < 10; ++digit) {
    const json& best = found["predictions"][digit]["classes"][0];
    right += best["label"] == digit ? 1 : 0;
    EXPECT_EQ(found["predictions"][digit]["conversion"], "");
    if (digit == 1) {
      EXPECT_EQ(best["name"], "one");
    }
  }
  EXPECT_GE(right, 9);
  const Result words = convkit({"predict", data_file("opt-mnist.onnx"), "--raw", dir / "7.png"});
  EXPECT_THAT(words.out, AllOf(HasSubstr("pictures as 1×28×28"), HasSubstr("(x − mean) / std"),
                               HasSubstr("class 7")));
}

// The mean of a channel after scaling and normalising is known, whatever is cut out of a picture of
// one colour.
TEST_F(PredictOnnx, NormalisesAsAsked) {
  const std::string red =
      picture("red.png", 40, 60, 3, [](int64_t, int64_t, int64_t c) { return c == 0 ? 255 : 51; });
  const auto logits = [&](const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {
        means("open.onnx", open_dims()), red, "--top", "3", "--size", "32"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const json found = predict(arguments);
    // Of softmax, differences of logarithms are differences of the logits.
    std::vector<double> logarithms(3);
    for (const json& guess : found["predictions"][0]["classes"])
      logarithms[guess["label"].get<std::size_t>()] = std::log(guess["probability"].get<double>());
    return std::vector<double>{logarithms[0] - logarithms[1], logarithms[1] - logarithms[2]};
  };
  const auto expect = [&](const std::vector<std::string>& options, double first, double second) {
    const std::vector<double> actual = logits(options);
    EXPECT_NEAR(actual[0], first, 1e-3 * std::abs(first) + 1e-4);
    EXPECT_NEAR(actual[1], second, 1e-3 * std::abs(second) + 1e-4);
  };
  const double r = (1 - 0.485) / 0.229;
  const double g = (0.2 - 0.456) / 0.224;
  const double b = (0.2 - 0.406) / 0.225;
  expect({}, r - g, g - b);
  expect({"--mean", "0", "--std", "1"}, 0.8, 0);
  expect({"--mean", "0.5", "--std", "0.5"}, 1.6, 0);
  expect({"--mean", "0.5,0.1,0.2", "--std", "1,2,4"}, 0.5 - 0.05, 0.05);
  expect({"--raw", "--std", "100"}, 2.04, 0);
  expect({"--raw", "--std", "100", "--mean", "10,20,30"}, 2.45 - 0.31, 0.31 - 0.21);
}

TEST_F(PredictOnnx, ResizesAndCutsOutTheMiddle) {
  // Left third black, middle red, right green: the middle of the picture is red only.
  const std::string stripes = picture("stripes.png", 30, 90, 3, [](int64_t, int64_t x, int64_t c) {
    return x < 30 ? 0 : ((x < 60) == (c == 0) && c < 2 ? 255 : 0);
  });
  const std::vector<std::string> plain = {"--mean", "0", "--std", "1", "--top", "3"};
  const auto conversion = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), plain.begin(), plain.end());
    const json one = predict(arguments)["predictions"][0];
    EXPECT_EQ(one["classes"][0]["label"], 0) << one;  // red
    return one["conversion"].get<std::string>();
  };
  const std::string open = means("open.onnx", open_dims());
  EXPECT_EQ(conversion({open, stripes}), "30×90 to 256×768, the middle 224×224");
  EXPECT_EQ(conversion({open, stripes, "--size", "28"}), "30×90 to 32×96, the middle 28×28");
  EXPECT_EQ(conversion({open, stripes, "--size", "28", "--resize", "30"}), "the middle 28×28");
  EXPECT_EQ(conversion({open, stripes, "--size", "28", "--resize", "28"}),
            "30×90 to 28×84, the middle 28×28");
  const std::string wide =
      means("wide.onnx", {{.extent = 1}, {.extent = 3}, {.extent = 14}, {.extent = 28}});
  EXPECT_EQ(conversion({wide, stripes}), "30×90 to 16×48, the middle 14×28");
  const std::string last =
      means("last.onnx", {{.extent = 1}, {.extent = 28}, {.extent = 28}, {.extent = 3}});
  EXPECT_EQ(conversion({last, stripes}), "30×90 to 32×96, the middle 28×28");
  const std::string exact =
      picture("exact.png", 28, 28, 3, [](int64_t, int64_t, int64_t c) { return c == 0 ? 9 : 3; });
  EXPECT_EQ(conversion({last, exact}), "");
  const std::string grey =
      picture("grey.png", 28, 28, 1, [](int64_t, int64_t, int64_t) { return 9; });
  EXPECT_EQ(conversion({last, grey}), "grey to colour");
}

TEST_F(PredictOnnx, AppliesSoftmaxWhereTheNetHasNone) {
  const std::string red =
      picture("red.png", 32, 32, 3, [](int64_t, int64_t, int64_t c) { return c == 0 ? 255 : 0; });
  const std::vector<std::string> plain = {red, "--mean", "0", "--std", "1", "--size", "32"};
  const auto best = [&](const std::string& net, bool softmax) {
    std::vector<std::string> arguments = plain;
    arguments.insert(arguments.begin(), net);
    const json found = predict(arguments);
    EXPECT_EQ(found["softmax"], softmax) << net;
    EXPECT_EQ(found["predictions"][0]["classes"].size(), 3U);
    return found["predictions"][0]["classes"][0]["probability"].get<double>();
  };
  const graph::Attributes axis{{"axis", int64_t{1}}};
  const double expected = std::exp(1.0) / (std::exp(1.0) + 2);
  EXPECT_NEAR(best(means("softmax.onnx", open_dims(), Op::softmax, axis), false), expected, 1e-5);
  EXPECT_NEAR(best(means("log.onnx", open_dims(), Op::log_softmax, axis), false), expected, 1e-5);
  EXPECT_NEAR(best(means("exp.onnx", open_dims(), Op::exp), true),
              std::exp(std::exp(1.0)) / (std::exp(std::exp(1.0)) + 2 * std::exp(1.0)), 1e-5);
}

TEST_F(PredictOnnx, PreparesPicturesAsTheRunDid) {
  const std::string data = test::make_picture_folder(dir / "data");
  ASSERT_EQ(
      convkit({"train", "--data", data, "--epochs", "1", "--batch", "8", "--out", dir / "run"})
          .code,
      kSuccess);
  ASSERT_EQ(convkit({"export", dir / "run", dir / "run.onnx"}).code, kSuccess);
  const std::string odd = picture(
      "odd.png", 40, 25, 3, [](int64_t y, int64_t x, int64_t c) { return 3 * y + 4 * x + c; });
  const json from_run = predict({dir / "run", odd, "--top", "5", "--exact"})["predictions"][0];
  const json from_file = predict({dir / "run.onnx", odd, "--exact"})["predictions"][0];
  EXPECT_EQ(from_run["conversion"], from_file["conversion"]);
  ASSERT_EQ(from_run["classes"].size(), from_file["classes"].size());
  for (std::size_t i = 0; i < from_run["classes"].size(); ++i) {
    EXPECT_EQ(from_run["classes"][i]["name"], from_file["classes"][i]["name"]);
    EXPECT_NEAR(from_run["classes"][i]["probability"].get<double>(),
                from_file["classes"][i]["probability"].get<double>(), 1e-5);
  }
  expect_error({dir / "run", odd, "--labels", "names.txt"}, kWrongUsage, "go with an .onnx file");
}

TEST_F(PredictOnnx, ExplainsWhatIsWrong) {
  const std::string digits = data_file("opt-mnist.onnx");
  const std::string open = means("open.onnx", open_dims());
  const std::string grey =
      picture("grey.png", 9, 9, 1, [](int64_t, int64_t, int64_t) { return 7; });
  expect_error({dir / "none.onnx", grey}, kFailed, "none.onnx");
  expect_error({digits, dir / "none.png"}, kFailed, "none.png");
  expect_error({digits, digits}, kFailed, "opt-mnist.onnx");
  expect_error({digits}, kWrongUsage, "images");
  expect_error({digits, grey, "--labels", dir / "none.txt"}, kFailed, "none.txt");
  expect_error({digits, grey, "--labels", text("few.txt", "a\nb\n")}, kFailed,
               "few.txt names 2 classes, but the net has 10");
  expect_error({digits, grey, "--labels", text("empty.txt", "\n\n")}, kFailed,
               "there is no name in it");
  expect_error({digits, grey, "--size", "32"}, kWrongUsage, "which takes 28×28 pictures only");
  expect_error({open, grey, "--grey"}, kWrongUsage, "this one takes 3");
  expect_error({open, grey, "--mean", "1,2"}, kWrongUsage,
               "--mean has 2 numbers, but the net takes 3 channels");
  expect_error({open, grey, "--mean", "a"}, kWrongUsage, "'a' is not a number");
  expect_error({open, grey, "--std", "0"}, kWrongUsage, "--std: 0 is not above 0");
  expect_error({open, grey, "--resize", "10"}, kFailed,
               "--resize 10 makes a picture of 9×9 one of 10×10, from which no 224×224 can be cut");
  const auto dims = [](const std::vector<int64_t>& extents) {
    std::vector<graph::Dim> list;
    list.reserve(extents.size());
    for (const int64_t extent : extents) list.push_back({.extent = extent});
    return list;
  };
  expect_error({means("four.onnx", dims({1, 4, 8, 8})), grey}, kFailed,
               "4 channels; pictures have 1 or 3");
  expect_error({means("batch.onnx", dims({2, 3, 8, 8})), grey}, kFailed,
               "one picture at a time, not 2");
  expect_error({means("root.onnx", dims({1, 3, 8, 8}), Op::log),
                picture("black.png", 8, 8, 3, [](int64_t, int64_t, int64_t) { return 0; })},
               kFailed, "score for a class is ");
  expect_error({means("one.onnx", dims({1, 1, 8, 8})), grey}, kFailed,
               "not a score for each class");
}

TEST_F(PredictOnnx, RefusesPicturesThatWouldBecomeHuge) {
  const std::string line =
      picture("line.png", 1, 20000, 1, [](int64_t, int64_t, int64_t) { return 7; });
  expect_error({means("open.onnx", open_dims()), line}, kFailed,
               "a picture of 1×20000 would become 256×5120000");
}

}  // namespace
}  // namespace convkit::cli
