#include "convkit/nn/functions.h"

#include <unordered_map>
#include <unordered_set>

namespace convkit::nn::detail {
namespace {

constexpr std::size_t kNamesShown = 8;

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kNamesShown; ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kNamesShown) text += message(", and ", names.size() - kNamesShown, " more");
  return text;
}

// What follows the path of the module around it: `enc.0` for the first of a vector `enc`.
std::string own_name(const std::string& path, const std::string& outer) {
  return outer.empty() ? path : path.substr(outer.size() + 1);
}

}  // namespace

void TensorVisitor::on_parameter(const std::string& path, Parameter& parameter) {
  callback_(path, parameter, true);
}
void TensorVisitor::on_buffer(const std::string& path, Buffer& buffer) {
  callback_(path, buffer, false);
}
void ModuleVisitor::on_enter(const ModuleView& module) { callback_(module); }

void PrintVisitor::on_enter(const ModuleView& module) {
  if (!has_children_.empty()) {
    if (!has_children_.back()) text_ += "(\n";
    has_children_.back() = true;
    text_ += std::string(2 * has_children_.size(), ' ') + "(" +
             own_name(module.path, paths_.back()) + "): ";
  }
  text_ += module.is_leaf ? module.describe() : std::string(module.type);
  has_children_.push_back(false);
  paths_.push_back(module.path);
}

void PrintVisitor::on_leave(const ModuleView& module) {
  const bool had_children = has_children_.back();
  has_children_.pop_back();
  paths_.pop_back();
  if (had_children) {
    text_ += std::string(2 * has_children_.size(), ' ') + ")";
  } else if (!module.is_leaf) {
    text_ += "()";
  }
  if (!has_children_.empty()) text_ += "\n";
}

void load_state(const StateDict& own, const StateDict& state, bool strict) {
  std::unordered_map<std::string, const Tensor*> given;
  for (const auto& [name, tensor] : state)
    CONVKIT_CHECK(given.emplace(name, &tensor).second, ValueError, "load_state_dict: ", name,
                  " is given twice");
  std::unordered_set<std::string> wanted;
  std::vector<std::string> missing;
  std::vector<std::string> mismatched;
  std::vector<std::string> not_floating;
  for (const auto& [name, tensor] : own) {
    wanted.insert(name);
    const auto found = given.find(name);
    if (found == given.end()) {
      missing.push_back(name);
    } else if (found->second->shape() != tensor.shape()) {
      mismatched.push_back(
          message(name, " (file ", found->second->shape(), ", net ", tensor.shape(), ")"));
    } else if (is_floating(tensor.dtype()) && !is_floating(found->second->dtype())) {
      not_floating.push_back(
          message(name, " (file ", found->second->dtype(), ", net ", tensor.dtype(), ")"));
    }
  }
  std::vector<std::string> unexpected;
  for (const auto& [name, tensor] : state)
    if (!wanted.contains(name)) unexpected.push_back(name);
  if (strict && (!missing.empty() || !unexpected.empty())) {
    std::string text = "load_state_dict: the weights do not belong to this net.";
    if (!missing.empty()) text += message(" Missing: ", listed(missing), ".");
    if (!unexpected.empty()) text += message(" Unexpected: ", listed(unexpected), ".");
    throw ValueError(text +
                     " Build the net these weights were saved from, or load with strict = false");
  }
  CONVKIT_CHECK(mismatched.empty(), ShapeError,
                "load_state_dict: shapes differ: ", listed(mismatched),
                "; build the net with the sizes the weights were saved with");
  CONVKIT_CHECK(not_floating.empty(), DTypeError,
                "load_state_dict: these hold integers: ", listed(not_floating),
                "; save the weights as floating-point numbers");
  for (const auto& [name, tensor] : own) {
    const auto found = given.find(name);
    Tensor target = tensor;
    if (found != given.end()) target.copy_from(*found->second);
  }
}

std::vector<Tensor> distinct(const StateDict& named) {
  std::vector<Tensor> tensors;
  std::unordered_set<const TensorImpl*> seen;
  for (const auto& [name, tensor] : named)
    if (seen.insert(tensor.impl()).second) tensors.push_back(tensor);
  return tensors;
}

}  // namespace convkit::nn::detail
