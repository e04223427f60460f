#pragma once

#include <string>
#include <utility>
#include <vector>

#include "convkit/nn/module.h"

namespace convkit::nn {

/// Modules (or callables Tensor → Tensor) one after the other, as torch.nn.Sequential:
///   nn::Sequential net{nn::Conv2d({...}), nn::ReLU(), nn::Flatten(), nn::Linear({...})};
/// (with braces: in parentheses, C++ may read a list of default-made layers as a function).
/// A batch norm with a ReLU behind it, and a max pool behind that, run as one operation (see
/// BatchNorm::then_relu, then_relu_pool).
/// Children are named "0", "1", …, or as given to add().
class CONVKIT_API Sequential {
 public:
  Sequential() = default;
  template <class First, class... Rest>
  requires(!std::same_as<std::remove_cvref_t<First>, Sequential> ||
           sizeof...(Rest) != 0) explicit Sequential(First&& first, Rest&&... rest) {
    add(std::forward<First>(first));
    (add(std::forward<Rest>(rest)), ...);
  }

  Sequential& add(AnyModule module);
  /// Throws ValueError when the name is empty, holds a dot, or is taken.
  Sequential& add(std::string name, AnyModule module);

  Tensor operator()(const Tensor& x);
  std::size_t size() const { return children_.size(); }
  bool empty() const { return children_.empty(); }
  /// The i-th child; throws ValueError when there is none.
  AnyModule& operator[](std::size_t i);

  void visit(auto&& v) {
    for (auto& [name, child] : children_) v(name, child);
  }

 private:
  std::vector<std::pair<std::string, AnyModule>> children_;
};

}  // namespace convkit::nn
