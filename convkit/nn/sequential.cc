#include "convkit/nn/sequential.h"

#include "convkit/nn/activation.h"
#include "convkit/nn/batch_norm.h"

namespace convkit::nn {
namespace {

// y = relu(norm(x)) in one pass if `norm` is a batch norm over Rank axes.
template <int Rank>
bool norm_then_relu(AnyModule& norm, const ReLU& relu, const Tensor& x, Tensor& y) {
  auto* const batch_norm = norm.get<BatchNorm<Rank>>();
  if (batch_norm != nullptr) y = batch_norm->then_relu(x, relu);
  return batch_norm != nullptr;
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
  for (std::size_t i = 0; i < children_.size(); ++i) {
    AnyModule& child = children_[i].second;
    const ReLU* const relu =
        i + 1 < children_.size() ? children_[i + 1].second.get<ReLU>() : nullptr;
    const bool is_pair = relu != nullptr && (norm_then_relu<1>(child, *relu, y, y) ||
                                             norm_then_relu<2>(child, *relu, y, y) ||
                                             norm_then_relu<3>(child, *relu, y, y));
    if (is_pair)
      ++i;
    else
      y = child(y);
  }
  return y;
}

AnyModule& Sequential::operator[](std::size_t i) {
  CONVKIT_CHECK(i < children_.size(), ValueError, "Sequential: there is no child ", i, " among ",
                children_.size());
  return children_[i].second;
}

}  // namespace convkit::nn
