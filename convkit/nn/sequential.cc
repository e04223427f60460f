#include "convkit/nn/sequential.h"

namespace convkit::nn {

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
  for (auto& [name, child] : children_) y = child(y);
  return y;
}

AnyModule& Sequential::operator[](std::size_t i) {
  CONVKIT_CHECK(i < children_.size(), ValueError, "Sequential: there is no child ", i, " among ",
                children_.size());
  return children_[i].second;
}

}  // namespace convkit::nn
