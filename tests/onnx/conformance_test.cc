// ONNX's own conformance cases (Debian's libonnx-testdata): every case whose operators convkit
// knows passes with the tolerance of ONNX's test runner, and what is refused is exactly the list
// below.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <set>

#include "convkit/infer/interpreter.h"
#include "convkit/io/folder.h"
#include "convkit/onnx/import.h"
#include "tests/onnx/cases.h"

namespace convkit::onnx {
namespace {

// tools/setup --tests installs the package.
const std::string& data_folder() {
  static const std::string folder = [] {
    const char* given = std::getenv("CONVKIT_ONNX_TESTDATA");
    return std::string(given != nullptr ? given : "/usr/share/libonnx-testdata/data");
  }();
  return folder;
}

// What the cases have that convkit does not know, with the reason where the operator is known.
const std::set<std::string>& refused() {
  static const std::set<std::string> names = {
      "Cast: it makes a tensor of string",
      "If: a branch gives a sequence, map or optional value",
      "input: it is a sequence, map or optional value",
      "input: it is of string",
      "ai.onnx.preview.training.Adagrad",
      "ai.onnx.preview.training.Adam",
      "ai.onnx.preview.training.Gradient",
      "ai.onnx.preview.training.Momentum",
      "Bernoulli",
      "BlackmanWindow",
      "ConcatFromSequence",
      "ConvInteger",
      "DFT",
      "Det",
      "DynamicQuantizeLinear",
      "GRU",
      "HammingWindow",
      "HannWindow",
      "LSTM",
      "Loop",
      "MatMulInteger",
      "MaxUnpool",
      "MelWeightMatrix",
      "NegativeLogLikelihoodLoss",
      "OptionalGetElement",
      "OptionalHasElement",
      "QLinearConv",
      "QLinearMatMul",
      "RNN",
      "RandomUniformLike",
      "RoiAlign",
      "STFT",
      "Scan",
      "SequenceAt",
      "SequenceConstruct",
      "SequenceEmpty",
      "SequenceErase",
      "SequenceInsert",
      "SequenceLength",
      "SequenceMap",
      "SoftmaxCrossEntropyLoss",
      "SplitToSequence",
      "StringNormalizer",
      "TfIdfVectorizer",
      "Unique",
  };
  return names;
}

std::string title(const Unsupported& node) {
  const std::string op = node.domain.empty() ? node.op : node.domain + "." + node.op;
  return node.reason.empty() ? op : op + ": " + node.reason;
}

TEST(Conformance, CasesOfKnownOperatorsPassAndTheOthersAreNamed) {
  if (!io::folder_exists(data_folder()))
    GTEST_SKIP() << "tools/setup --tests installs ONNX's cases (libonnx-testdata)";
  std::map<std::string, int> reasons;
  for (const std::string kind : {"node", "pytorch-converted", "pytorch-operator", "simple"}) {
    int cases = 0;
    int passed = 0;
    int refusals = 0;
    for (const std::string& name : io::list_folder(data_folder() + "/" + kind).folders) {
      SCOPED_TRACE(name);
      const std::string path = data_folder() + "/" + kind + "/" + name;
      ++cases;
      try {
        if (run_case(load_onnx(path + "/model.onnx"), path)) ++passed;
      } catch (const UnsupportedError& error) {
        ++refusals;
        std::set<std::string> titles;
        for (const Unsupported& node : error.nodes()) titles.insert(title(node));
        for (const std::string& each : titles) ++reasons[each];
      } catch (const Error& error) {
        ADD_FAILURE() << name << ": " << error.what();
      }
    }
    std::cout << kind << ": " << cases << " cases, " << cases - refusals << " supported, " << passed
              << " passed, " << refusals << " refused\n";
    EXPECT_EQ(passed, cases - refusals) << kind;
    EXPECT_GT(passed, 0) << kind;
  }
  std::cout << "refused, with the number of cases:\n";
  std::set<std::string> found;
  for (const auto& [reason, count] : reasons) {
    std::cout << "  " << reason << ": " << count << "\n";
    found.insert(reason);
  }
  EXPECT_THAT(found, testing::ContainerEq(refused()));
}

}  // namespace
}  // namespace convkit::onnx
