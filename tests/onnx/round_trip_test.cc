// Module → ONNX → session: what leaves convkit comes back and gives the same numbers.
#include <gtest/gtest.h>

#include "convkit/autograd/record.h"
#include "convkit/base/exactness.h"
#include "convkit/graph/capture.h"
#include "convkit/infer/session.h"
#include "convkit/nn/functions.h"
#include "convkit/onnx/export.h"
#include "convkit/onnx/import.h"
#include "convkit/onnx/load.h"
#include "tests/onnx/same_graph.h"
#include "tests/support/relative_difference.h"
#include "tests/support/round_trip.h"

namespace convkit::onnx {
namespace {

using test::RoundTripCase;

std::span<const uint8_t> view_of(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

std::string name_of_case(const testing::TestParamInfo<RoundTripCase>& test) {
  std::string name = test.param.name;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

class RoundTrip : public testing::TestWithParam<RoundTripCase> {};

TEST_P(RoundTrip, GivesTheNumbersOfTheModule) {
  const RoundTripCase& c = GetParam();
  manual_seed(7);
  nn::AnyModule net = c.make();
  test::train_a_little(net, c.sample);
  const Tensor example = zeros(c.sample.with_inserted(0, 1));
  if (!c.refusal.empty()) {
    try {
      graph::capture(net, example);
      FAIL() << "it has become a graph";
    } catch (const graph::CaptureError& error) {
      EXPECT_NE(std::string(error.what()).find(c.refusal), std::string::npos) << error.what();
      return;
    }
  }
  const std::string bytes = serialize_onnx(graph::capture(net, example));
  const infer::Session exact = load(view_of(bytes), {.exactness = Exactness::exact});
  const infer::Session fast = load(view_of(bytes), {.exactness = Exactness::fast});
  const UseExactness module_is_exact(Exactness::exact);
  const NoGradGuard no_grad;
  for (const int64_t batch : {1, 3}) {
    const Tensor x = test::round_trip_input(c.sample, batch);
    const Tensor expected = net(x);
    EXPECT_LE(test::relative_difference(exact(x), expected), test::kExactDifference) << batch;
    EXPECT_LE(test::relative_difference(fast(x), expected), test::kFastDifference) << batch;
  }

  expect_state_dict(parse_onnx(view_of(bytes)).graph, net);
}

INSTANTIATE_TEST_SUITE_P(Nets, RoundTrip, testing::ValuesIn(test::small_nets()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Layers, RoundTrip, testing::ValuesIn(test::single_layers()), name_of_case);

}  // namespace
}  // namespace convkit::onnx
