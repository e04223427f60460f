// tests_sweep FILE: the checker of tools/golden/sweep. Computes every convolution of a file in the
// format of tests/golden/conv.safetensors, and compares y and all gradients with PyTorch's.
//
// Prints `FAIL CASE: what` for each case with a wrong result, and ends with
// `cases N failed F worst E CASE`, E being the largest error as a share of what float32 allows
// (tests/support/conv_case.h), or inf for a case that threw. Exit code: 0 all right, 1 wrong
// results, 2 no such file or not of this format.

#include <cmath>
#include <exception>
#include <iostream>
#include <string>

#include "tests/support/conv_case.h"
#include "tests/support/golden.h"

namespace convkit::test {
namespace {

ConvCaseResult run_or_catch(const GoldenFile& file, const nlohmann::json& c) {
  try {
    return run_conv_case(file, c);
  } catch (const std::exception& error) {
    return {INFINITY, std::string("threw: ") + error.what()};
  }
}

int check_file(const std::string& path) {
  const GoldenFile file = GoldenFile::from_path(path);
  int failed = 0;
  double worst = 0;
  std::string worst_case = "none";
  for (const nlohmann::json& c : file.cases()) {
    const std::string name = c.at("name");
    const ConvCaseResult result = run_or_catch(file, c);
    if (!(result.worst <= 1)) {
      ++failed;
      std::cout << "FAIL " << name << ": " << result.worst << " of the tolerance, " << result.where
                << "\n";
    }
    if (result.worst > worst) {
      worst = result.worst;
      worst_case = name;
    }
  }
  std::cout << "cases " << file.cases().size() << " failed " << failed << " worst " << worst << " "
            << worst_case << "\n";
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace convkit::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: tests_sweep FILE    (see tools/golden/sweep)\n";
    return 2;
  }
  try {
    return convkit::test::check_file(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << "tests_sweep: " << error.what() << "\n";
    return 2;
  }
}
