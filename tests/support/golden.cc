#include "tests/support/golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "convkit/io/safetensors.h"

namespace convkit::test {
namespace {

std::string key_of(const std::string& case_name, const std::string& role) {
  return case_name + "/" + role;
}

std::vector<int64_t> index_of(int64_t position, const Shape& shape) {
  std::vector<int64_t> index(static_cast<std::size_t>(shape.dim()));
  for (int64_t axis = shape.dim() - 1; axis >= 0; --axis) {
    index[static_cast<std::size_t>(axis)] = position % shape[axis];
    position /= shape[axis];
  }
  return index;
}

}  // namespace

GoldenFile::GoldenFile(const std::string& topic)
    : GoldenFile(topic, std::string(CONVKIT_TEST_DATA) + "/golden/" + topic + ".safetensors") {}

GoldenFile::GoldenFile(const std::string& topic, const std::string& path) : topic_(topic) {
  io::SafeTensors file = io::load_safetensors(path);
  for (auto& [name, tensor] : file.tensors) tensors_.emplace(name, std::move(tensor));
  for (const auto& golden_case : nlohmann::json::parse(file.metadata.at("cases")))
    cases_.push_back(golden_case);
  if (cases_.empty()) throw std::runtime_error("golden " + topic + ": no cases");
}

std::vector<nlohmann::json> GoldenFile::cases_of(const std::string& op) const {
  std::vector<nlohmann::json> found;
  for (const auto& golden_case : cases_)
    if (golden_case.at("op") == op) found.push_back(golden_case);
  if (found.empty()) throw std::runtime_error("golden " + topic_ + ": no case of op " + op);
  return found;
}

const nlohmann::json& GoldenFile::find_case(const std::string& name) const {
  for (const auto& golden_case : cases_)
    if (golden_case.at("name") == name) return golden_case;
  throw std::runtime_error("golden " + topic_ + ": no case " + name);
}

const Tensor& GoldenFile::tensor(const std::string& case_name, const std::string& role) const {
  const auto found = tensors_.find(key_of(case_name, role));
  if (found == tensors_.end())
    throw std::runtime_error("golden " + topic_ + ": no tensor " + key_of(case_name, role));
  return found->second;
}

const Tensor& GoldenFile::tensor(const char* case_name, const std::string& role) const {
  return tensor(std::string(case_name), role);
}

const Tensor& GoldenFile::tensor(const nlohmann::json& golden_case, const std::string& role) const {
  return tensor(golden_case.at("name").get<std::string>(), role);
}

Tensor GoldenFile::optional_tensor(const nlohmann::json& golden_case,
                                   const std::string& role) const {
  return has(golden_case, role) ? tensor(golden_case, role) : Tensor();
}

bool GoldenFile::has(const nlohmann::json& golden_case, const std::string& role) const {
  return tensors_.contains(key_of(golden_case.at("name").get<std::string>(), role));
}

std::vector<int64_t> int_list(const nlohmann::json& value) {
  if (value.is_number()) return {value.get<int64_t>()};
  return value.get<std::vector<int64_t>>();
}

bool expect_close(const Tensor& actual, const Tensor& expected, double absolute, double relative,
                  const std::string& what) {
  if (!actual.defined() || !expected.defined()) {
    ADD_FAILURE() << what << ": " << (actual.defined() ? "the expected" : "the actual")
                  << " tensor is undefined";
    return false;
  }
  if (actual.shape() != expected.shape()) {
    ADD_FAILURE() << what << ": shape " << to_text(actual.shape()) << ", expected "
                  << to_text(expected.shape());
    return false;
  }
  const std::vector<double> a = actual.to(DType::float64).to_vector<double>();
  const std::vector<double> b = expected.to(DType::float64).to_vector<double>();
  int64_t outside = 0;
  double worst = 0;  // the error as a multiple of what is allowed
  std::size_t worst_at = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double error = std::abs(a[i] - b[i]);
    const double allowed = absolute + relative * std::abs(b[i]);
    if (error <= allowed && std::isfinite(error)) continue;
    ++outside;
    const double excess = !std::isfinite(error) || allowed == 0 ? INFINITY : error / allowed;
    if (excess > worst) {
      worst = excess;
      worst_at = i;
    }
  }
  if (outside == 0) return true;
  const std::vector<int64_t> index = index_of(static_cast<int64_t>(worst_at), actual.shape());
  ADD_FAILURE() << what << ": " << outside << " of " << a.size()
                << " elements differ; the worst at " << to_text(index) << " is "
                << to_text(a[worst_at]) << ", expected " << to_text(b[worst_at]) << ", off by "
                << to_text(std::abs(a[worst_at] - b[worst_at])) << " (" << to_text(worst)
                << " times what |e| <= " << to_text(absolute) << " + " << to_text(relative)
                << "*|expected| allows)";
  return false;
}

}  // namespace convkit::test
