#include "convkit/kernels/reduce.h"

#include "convkit/infer/steps/step.h"
#include "convkit/tensor/layout.h"

namespace convkit::infer {
namespace {

using graph::Op;

class SumStep final : public Step {
 public:
  SumStep(const kernels::AxisGeometry& geometry, double scale)
      : geometry_(geometry), scale_(scale) {}
  void run(std::span<const float* const> inputs, float* output) const override {
    kernels::sum_axis(geometry_, scale_, inputs[0], output);
  }
  Algorithm algorithm() const override { return {"reduce", "", 0}; }

 private:
  kernels::AxisGeometry geometry_;
  double scale_;
};

// The shape as it lies in memory, seen as what is before the reduced axes, these, and what is
// behind them; nothing where something lies between them.
std::optional<kernels::AxisGeometry> geometry_of(const Shape& shape,
                                                 const std::vector<bool>& reduced) {
  const std::size_t rank = reduced.size();
  kernels::AxisGeometry geometry;
  bool has_begun = false;
  bool has_ended = false;
  for (std::size_t i = 0; i < rank; ++i) {
    // The channels are innermost in memory.
    const std::size_t axis = rank < 3 || i == 0 ? i : i + 1 == rank ? 1 : i + 1;
    const int64_t extent = shape.begin()[axis];
    if (extent == 1) continue;
    if (reduced[axis]) {
      if (has_ended) return std::nullopt;
      has_begun = true;
      geometry.extent *= extent;
    } else {
      has_ended = has_begun;
      (has_begun ? geometry.inner : geometry.outer) *= extent;
    }
  }
  return geometry;
}

}  // namespace

std::optional<Native> make_reduce(const Request& request) {
  const Facts& x = request.input(0);
  const Call call = request.call();
  const auto inputs = constants_behind(request);
  if (!x.is_float() || !inputs) return std::nullopt;
  const Integers axes = request.given(1) ? integers_of((*inputs)[1], "axes") : Integers{};
  if (axes.empty() && call.flag("noop_with_empty_axes")) return std::nullopt;
  std::vector<bool> reduced(static_cast<std::size_t>(x.shape.dim()), axes.empty());
  for (const int64_t axis : axes) reduced[normal_axis(axis, x.shape.dim())] = true;
  const auto geometry = geometry_of(x.shape, reduced);
  if (!geometry) return std::nullopt;
  Integers kept;
  Integers left;
  for (std::size_t i = 0; i < reduced.size(); ++i) {
    kept.push_back(reduced[i] ? 1 : x.shape.begin()[i]);
    if (!reduced[i]) left.push_back(kept.back());
  }
  const Shape output(call.flag("keepdims") ? kept : left);
  if (!reshapes_in_place(Shape(kept), output)) return std::nullopt;
  const double scale =
      request.node.op == Op::reduce_mean ? 1.0 / static_cast<double>(geometry->extent) : 1.0;
  return Native{std::make_unique<SumStep>(*geometry, scale), output};
}

}  // namespace convkit::infer
