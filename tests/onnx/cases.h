#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "convkit/infer/interpreter.h"
#include "convkit/infer/session.h"
#include "convkit/io/folder.h"
#include "convkit/onnx/import.h"
#include "tests/support/golden.h"

namespace convkit::onnx {

/// The tolerance of ONNX's test runner.
inline constexpr double kRelative = 1e-3;
inline constexpr double kAbsolute = 1e-7;

/// EXPECTs that `actual` is `expected`: of its type and shape, equal where integers, close where
/// floating.
inline bool expect_equal(const Tensor& actual, const Tensor& expected, const std::string& what,
                         double absolute = kAbsolute, double relative = kRelative) {
  if (actual.dtype() != expected.dtype() || !(actual.shape() == expected.shape())) {
    ADD_FAILURE() << what << " is " << to_text(actual.dtype()) << " " << to_text(actual.shape())
                  << ", but should be " << to_text(expected.dtype()) << " "
                  << to_text(expected.shape());
    return false;
  }
  if (!is_floating(expected.dtype())) {
    EXPECT_TRUE(bit_equal(actual, expected))
        << what << ": " << to_text(actual) << "\nshould be " << to_text(expected);
    return bit_equal(actual, expected);
  }
  // The cases cut numbers off to make them bfloat16, where ONNX and convkit round: one unit in the
  // last of 8 bits.
  if (expected.dtype() == DType::bfloat16) relative = std::max(relative, 0x1p-7);
  return test::expect_close(actual.to(DType::float64), expected.to(DType::float64), absolute,
                            relative, what);
}

/// The cases hold bfloat16 as uint16.
inline Tensor as_declared(const Tensor& tensor, const graph::ValueType& type) {
  if (tensor.dtype() != DType::uint16 || type.dtype != DType::bfloat16) return tensor;
  return from_raw(tensor.to_vector<uint16_t>().data(), tensor.numel(), tensor.shape(),
                  DType::bfloat16);
}

/// float32 near 0, where terms of sums of around 1 cancel out: some units in the last of 24 bits.
inline constexpr double kSessionAbsolute = 1e-6;

/// Runs every data set of a conformance case's folder, by the interpreter and by a session; true
/// when all outputs are right.
inline bool run_case(Model model, const std::string& folder) {
  bool right = true;
  int sets = 0;
  // The cases of CastLike declare another shape for `like` than they give.
  if (model.graph.inputs.size() == 2 && model.graph.value(model.graph.inputs[1]).name == "like")
    model.graph.value(model.graph.inputs[1]).type.dims.reset();
  const infer::Session session(model.graph, {.exactness = Exactness::exact});
  for (const std::string& name : io::list_folder(folder).folders) {
    if (!name.starts_with("test_data_set")) continue;
    ++sets;
    const std::string set = folder + "/" + name + "/";
    std::vector<Tensor> inputs;
    for (std::size_t i = 0; i < model.graph.inputs.size(); ++i)
      inputs.push_back(as_declared(load_tensor_proto(set + "input_" + std::to_string(i) + ".pb"),
                                   model.graph.value(model.graph.inputs[i]).type));
    const std::vector<Tensor> outputs = infer::interpret(model.graph, inputs);
    const std::vector<Tensor> compiled = session.run(inputs);
    EXPECT_EQ(compiled.size(), outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::string file = "output_" + std::to_string(i) + ".pb";
      const graph::ValueType type{.dtype = outputs[i].dtype()};
      const Tensor expected = as_declared(load_tensor_proto(set + file), type);
      right = expect_equal(outputs[i], expected, file) && right;
      // The cases' own numbers are computed in float32, as a session's steps are.
      right =
          expect_equal(compiled[i], expected, file + " of a session", kSessionAbsolute) && right;
    }
  }
  EXPECT_GT(sets, 0) << "the case has no data";
  return right && sets > 0;
}

}  // namespace convkit::onnx
