// Writes nets as ONNX files, with inputs and what convkit makes of them, for tools/check-export.
//
//   tests_round_trip FOLDER small|full|layers|outside|newest [CASE...]
//
// outside: small nets with their weights in a file beside the model; newest: nets and
// layers in the newest operator set that convkit writes.
// Of each case: FOLDER/CASE.onnx, FOLDER/CASE.<batch>.x.npy and .y.npy (the module's output in
// exact arithmetic) for batches of 1 and 3, and on standard output one line of JSON.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/base/exactness.h"
#include "convkit/graph/capture.h"
#include "convkit/infer/session.h"
#include "convkit/io/npy.h"
#include "convkit/nn/functions.h"
#include "convkit/onnx/export.h"
#include "convkit/onnx/import.h"
#include "convkit/onnx/load.h"
#include "tests/support/relative_difference.h"
#include "tests/support/round_trip.h"

namespace convkit {
namespace {

Shape training_sample(const test::RoundTripCase& c) {
  // Of a net's paper the steps would take minutes; averages over positions take any size.
  const bool is_large = c.sample.dim() > 2 && c.sample.numel() > 30000 && !c.name.starts_with("m5");
  if (!is_large) return c.sample;
  std::vector<int64_t> smaller = c.sample.to_vector();
  for (std::size_t axis = smaller.size() - 2; axis < smaller.size(); ++axis)
    smaller[axis] = std::min<int64_t>(smaller[axis], 64);
  return Shape(smaller);
}

nlohmann::ordered_json numbers_of(nn::AnyModule& net, const test::RoundTripCase& c,
                                  const std::string& path) {
  const infer::Session exact = load(path + ".onnx", {.exactness = Exactness::exact});
  const infer::Session fast = load(path + ".onnx", {.exactness = Exactness::fast});
  const NoGradGuard no_grad;
  auto batches = nlohmann::ordered_json::array();
  for (const int64_t batch : {1, 3}) {
    const Tensor x = test::round_trip_input(c.sample, batch);
    Tensor y;
    {
      const UseExactness module_is_exact(Exactness::exact);
      y = net(x);
    }
    const std::string files = message(path, ".", batch);
    io::save_npy(files + ".x.npy", x);
    io::save_npy(files + ".y.npy", y);
    batches.push_back({{"files", files},
                       {"module_fast", test::relative_difference(net(x), y)},
                       {"exact", test::relative_difference(exact(x), y)},
                       {"fast", test::relative_difference(fast(x), y)}});
  }
  return batches;
}

nlohmann::ordered_json write_case(const test::RoundTripCase& c, const std::string& folder,
                                  const onnx::ExportOptions& options) {
  nlohmann::ordered_json json{{"case", c.name}};
  manual_seed(7);
  nn::AnyModule net = c.make();
  test::train_a_little(net, training_sample(c));
  const std::string path = folder + "/" + c.name;
  try {
    const graph::Graph graph =
        graph::capture(net, zeros(c.sample.with_inserted(0, 1)), {.name = c.name});
    json["opset"] = onnx::save_onnx(path + ".onnx", graph, options).opset;
  } catch (const graph::CaptureError& error) {
    json["refused"] = error.what();
    json["expected"] =
        !c.refusal.empty() && std::string(error.what()).find(c.refusal) != std::string::npos;
    return json;
  }
  json["keys"] = nlohmann::ordered_json::array();
  for (const auto& [key, tensor] : nn::state_dict(net))
    if (!key.ends_with("num_batches_tracked")) json["keys"].push_back(key);
  json["batches"] = numbers_of(net, c, path);
  return json;
}

std::vector<test::RoundTripCase> cases_of(const std::string& kind) {
  if (kind == "small" || kind == "outside") return test::small_nets();
  if (kind == "full") return test::full_nets();
  if (kind == "layers") return test::single_layers();
  if (kind == "newest") {
    std::vector<test::RoundTripCase> cases = test::small_nets();
    for (test::RoundTripCase& c : test::single_layers()) cases.push_back(std::move(c));
    return cases;
  }
  throw ValueError("'" + kind + "' is none of small, full, layers, outside, newest");
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) throw ValueError("give a folder and what to write");
  onnx::ExportOptions options;
  constexpr int64_t kFewBytes = 4096;
  if (arguments[1] == "outside") options.most_bytes_inside = kFewBytes;
  if (arguments[1] == "newest") options.opset = onnx::kNewestOpset;
  const std::vector<std::string> wanted(arguments.begin() + 2, arguments.end());
  for (const test::RoundTripCase& c : cases_of(arguments[1])) {
    if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), c.name) == wanted.end())
      continue;
    std::cout << write_case(c, arguments[0], options).dump() << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace convkit

int main(int argc, char** argv) {
  try {
    return convkit::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "tests_round_trip: " << error.what() << std::endl;
    return 1;
  }
}
