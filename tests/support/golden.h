#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "convkit/tensor/tensor.h"

/// Golden values from PyTorch (tools/golden/): tests/golden/<topic>.safetensors.
namespace convkit::test {

/// A topic's cases and their tensors. A missing or broken file throws, which fails the test.
class GoldenFile {
 public:
  explicit GoldenFile(const std::string& topic);
  /// Cases from any file of that format, e.g. a chunk of tools/golden/sweep.
  static GoldenFile from_path(const std::string& path) { return {path, path}; }

  /// {"name", "op", parameters...} each, in the order they were made.
  const std::vector<nlohmann::json>& cases() const { return cases_; }
  /// Those whose "op" is `op`; throws when there is none (a test that checks nothing).
  std::vector<nlohmann::json> cases_of(const std::string& op) const;
  /// The case of that name.
  const nlohmann::json& find_case(const std::string& name) const;

  /// The tensor `CASE/role`; throws naming it when there is none.
  const Tensor& tensor(const char* case_name, const std::string& role) const;
  const Tensor& tensor(const std::string& case_name, const std::string& role) const;
  const Tensor& tensor(const nlohmann::json& golden_case, const std::string& role) const;
  /// The same, or an undefined tensor: for optional roles such as bias.
  Tensor optional_tensor(const nlohmann::json& golden_case, const std::string& role) const;
  bool has(const nlohmann::json& golden_case, const std::string& role) const;

 private:
  GoldenFile(const std::string& topic, const std::string& path);

  std::string topic_;
  std::vector<nlohmann::json> cases_;
  std::unordered_map<std::string, Tensor> tensors_;
};

/// An int64 list of a case's parameter, whether it is written as a list or as one number.
std::vector<int64_t> int_list(const nlohmann::json& value);

/// Fails the test (EXPECT) unless |actual − expected| ≤ absolute + relative · |expected| for every
/// element; NaN and infinities must agree. Reports the worst element with its logical index.
/// Tensors of different floating types are compared as double; shapes must be the same. Returns
/// whether they are close.
bool expect_close(const Tensor& actual, const Tensor& expected, double absolute, double relative,
                  const std::string& what);

}  // namespace convkit::test
