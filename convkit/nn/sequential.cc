#include "convkit/nn/sequential.h"

#include <algorithm>

#include "convkit/nn/conv_norm_act.h"

namespace convkit::nn {
namespace {

using Children = std::vector<std::pair<std::string, AnyModule>>;

template <class Module>
Module* get(Children& children, std::size_t i) {
  return i < children.size() ? children[i].second.get<Module>() : nullptr;
}

// Runs the children from `i` on that make one operation over Rank axes, and returns their number.
template <int Rank>
std::size_t run_as_one(Children& children, std::size_t i, Tensor& y) {
  if (auto* const norm = get<BatchNorm<Rank>>(children, i)) {
    const auto* const relu = get<ReLU>(children, i + 1);
    if (relu == nullptr) return 0;
    const auto* const pool = get<MaxPool<Rank>>(children, i + 2);
    y = pool == nullptr ? norm->then_relu(y, *relu) : norm->then_relu_pool(y, *relu, *pool);
    return pool == nullptr ? 2 : 3;
  }
  auto* const brick = get<ConvNormAct<Rank>>(children, i);
  const auto* const pool = get<MaxPool<Rank>>(children, i + 1);
  if (brick == nullptr || pool == nullptr) return 0;
  y = brick->then_pool(y, *pool);
  return 2;
}

}  // namespace

Sequential& Sequential::add(AnyModule module) {
  return add(std::to_string(children_.size()), std::move(module));
}

Sequential& Sequential::add(std::string name, AnyModule module) {
  CONVKIT_CHECK(!name.empty() && name.find('.') == std::string::npos, ValueError,
                "Sequential: a child cannot be called '", name,
                "': names are not empty and hold no dot");
  for (const auto& [taken, child] : children_)
    CONVKIT_CHECK(taken != name, ValueError, "Sequential: there is a child '", name, "' already");
  children_.emplace_back(std::move(name), std::move(module));
  return *this;
}

Tensor Sequential::operator()(const Tensor& x) {
  Tensor y = x;
  for (std::size_t i = 0; i < children_.size();) {
    std::size_t done = run_as_one<1>(children_, i, y);
    if (done == 0) done = run_as_one<2>(children_, i, y);
    if (done == 0) done = run_as_one<3>(children_, i, y);
    if (done == 0) y = children_[i].second(y);
    i += std::max<std::size_t>(done, 1);
  }
  return y;
}

AnyModule& Sequential::operator[](std::size_t i) {
  CONVKIT_CHECK(i < children_.size(), ValueError, "Sequential: there is no child ", i, " among ",
                children_.size());
  return children_[i].second;
}

}  // namespace convkit::nn
