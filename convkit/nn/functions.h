#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "convkit/nn/module.h"

/// What can be done with any module; all of it derives from `visit`.
namespace convkit::nn {

using NamedTensor = std::pair<std::string, Tensor>;
/// PyTorch's state_dict: parameters and buffers by path, in visiting order. The tensors are the
/// net's own, not copies.
using StateDict = std::vector<NamedTensor>;

namespace detail {

/// Calls back for every parameter and buffer.
class CONVKIT_API TensorVisitor final : public Visitor {
 public:
  using Callback = std::function<void(const std::string& path, Tensor& tensor, bool is_parameter)>;
  explicit TensorVisitor(Callback callback) : callback_(std::move(callback)) {}

 private:
  void on_parameter(const std::string& path, Parameter& parameter) override;
  void on_buffer(const std::string& path, Buffer& buffer) override;
  Callback callback_;
};

/// Calls back for every module, parents before children.
class CONVKIT_API ModuleVisitor final : public Visitor {
 public:
  using Callback = std::function<void(const ModuleView& module)>;
  explicit ModuleVisitor(Callback callback) : callback_(std::move(callback)) {}

 private:
  void on_enter(const ModuleView& module) override;
  Callback callback_;
};

/// Builds PyTorch's indented picture of a net.
class CONVKIT_API PrintVisitor final : public Visitor {
 public:
  std::string text() const { return text_; }

 private:
  void on_enter(const ModuleView& module) override;
  void on_leave(const ModuleView& module) override;
  std::string text_;
  std::vector<bool> has_children_;
  std::vector<std::string> paths_;  ///< of the modules around the one at hand
};

CONVKIT_API void load_state(const std::vector<std::pair<std::string, Tensor>>& own,
                            const StateDict& state, bool strict);
CONVKIT_API std::vector<Tensor> distinct(const StateDict& named);

}  // namespace detail

template <class M>
void for_each_tensor(M& net, detail::TensorVisitor::Callback callback) {
  detail::TensorVisitor visitor(std::move(callback));
  walk(net, visitor);
}

template <class M>
void for_each_module(M& net, detail::ModuleVisitor::Callback callback) {
  detail::ModuleVisitor visitor(std::move(callback));
  walk(net, visitor);
}

template <class M>
StateDict named_parameters(M& net) {
  StateDict named;
  for_each_tensor(net, [&](const std::string& path, Tensor& tensor, bool is_parameter) {
    if (is_parameter) named.emplace_back(path, tensor);
  });
  return named;
}

/// The parameters an optimiser trains; one that is used in two places is listed once.
template <class M>
std::vector<Tensor> parameters(M& net) {
  return detail::distinct(named_parameters(net));
}

template <class M>
StateDict state_dict(M& net) {
  StateDict named;
  for_each_tensor(net, [&](const std::string& path, Tensor& tensor, bool) {
    named.emplace_back(path, tensor);
  });
  return named;
}

/// Copies the tensors of `state` into the net's, by path. Throws ValueError naming every missing
/// and every unexpected key (unless `strict` is false), ShapeError naming every shape that differs,
/// and DTypeError naming what holds integers where the net has floating-point numbers (other types
/// are converted); on an error the net is unchanged.
template <class M>
void load_state_dict(M& net, const StateDict& state, bool strict = true) {
  detail::load_state(state_dict(net), state, strict);
}

/// Switches all layers to training (batch statistics, dropout) or evaluation.
template <class M>
void train(M& net, bool training = true) {
  for_each_module(net, [=](const ModuleView& module) {
    if (module.layer != nullptr) module.layer->training = training;
  });
}
template <class M>
void eval(M& net) {
  train(net, false);
}

template <class M>
void zero_grad(M& net) {
  for (Tensor& parameter : parameters(net)) parameter.zero_grad();
}

/// Number of trained values.
template <class M>
int64_t parameter_count(M& net) {
  int64_t count = 0;
  for (const Tensor& parameter : parameters(net)) count += parameter.numel();
  return count;
}

/// A net of the same structure with tensors of its own; tensors shared inside stay shared.
template <class M>
M clone(const M& net) {
  M copy = net;
  std::vector<std::pair<TensorImpl*, Tensor>> known;
  for_each_tensor(copy, [&](const std::string&, Tensor& tensor, bool) {
    for (const auto& [original, fresh] : known) {
      if (original == tensor.impl()) {
        tensor = fresh;
        return;
      }
    }
    const Tensor original = tensor;
    tensor = original.clone();
    if (original.requires_grad()) tensor.set_requires_grad();
    known.emplace_back(original.impl(), tensor);
  });
  return copy;
}

/// PyTorch's picture of a net:
///   Sequential(
///     (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))
///     (1): ReLU()
///   )
template <class M>
std::string describe(M& net) {
  detail::PrintVisitor visitor;
  walk(net, visitor);
  return visitor.text();
}

}  // namespace convkit::nn
