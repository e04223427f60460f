#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/infer/elements.h"
#include "convkit/infer/steps/step.h"
#include "convkit/kernels/conv_planner.h"
#include "convkit/tensor/layout.h"

namespace convkit::infer {
namespace {

// The matrices of a batch at its first and at each next, where there is more than one, in floats.
struct Matrices {
  int64_t a;
  int64_t b;
};

// The matrices of a tensor as they are in row-major order; `own` has them where they were not.
const float* rows_of(const Shape& shape, const float* memory, Buffer<float>& own) {
  if (is_row_major(shape)) return memory;
  own = Buffer<float>(static_cast<std::size_t>(shape.numel()));
  memory_to_row_major(shape, sizeof(float), memory, own.data());
  return own.data();
}

// A product as a convolution's backward-input with one tap: of dy = a (positions, k) with w = b
// (k, n) as it is.
kernels::ConvGeometry geometry_of(int64_t rows, int64_t depth, int64_t columns) {
  kernels::ConvGeometry geometry;
  geometry.out_channels = depth;
  geometry.in_channels = columns;
  geometry.in[2] = geometry.out[2] = rows;
  return geometry;
}

// y = a · b with a constant matrix b, which is packed once: all rows of a are one product.
class ConstantMatmulStep final : public Step {
 public:
  ConstantMatmulStep(const Shape& a, Tensor b, const Shape& y)
      : a_(a),
        b_(std::move(b)),
        y_(y),
        geometry_(geometry_of(a.numel() / a[-1], a[-1], y[-1])),
        program_(kernels::planned_program(
            geometry_, kernels::Direction::backward_input,
            {Exactness::exact, kernels::Weights::fixed, kernels::Planning::estimated})) {}

  void prepare() override {
    const int64_t floats = program_->packed_floats();
    if (floats == 0) return;
    Buffer<float> packed(static_cast<std::size_t>(floats), Pages::ordinary);
    std::fill_n(packed.data(), floats, 0.0F);  // gaps are compared, too
    program_->pack(b_.data<float>(), packed.data());
    packed_ = share(std::move(packed));
    b_ = Tensor();
  }
  void run(std::span<const float* const> inputs, float* output) const override {
    Buffer<float> own_a;
    Buffer<float> own_y;
    const float* const a = rows_of(a_, inputs[0], own_a);
    const bool turns = !is_row_major(y_);
    if (turns) own_y = Buffer<float>(static_cast<std::size_t>(y_.numel()));
    float* const y = turns ? own_y.data() : output;
    program_->run(a, packed_ ? packed_->data() : b_.data<float>(), {}, y);
    if (turns) row_major_to_memory(y_, sizeof(float), y, output);
  }
  bool holds(std::size_t input) const override { return input == 1; }
  int64_t weight_bytes() const override {
    return geometry_.in_channels * geometry_.out_channels * static_cast<int64_t>(sizeof(float));
  }
  Algorithm algorithm() const override {
    return {"matmul", "", 2 * static_cast<double>(kernels::macs(geometry_))};
  }

 private:
  Shape a_;
  Tensor b_;  // where the program reads it as it is
  Shape y_;
  kernels::ConvGeometry geometry_;
  std::shared_ptr<const kernels::ConvProgram> program_;
  SharedFloats packed_;
};

// y = a · b over the last two axes, a pair of matrices of which both change from run to run.
class MatmulStep final : public Step {
 public:
  MatmulStep(const Shape& a, const Shape& b, const Shape& y, std::vector<Matrices> places)
      : a_(a),
        b_(b),
        y_(y),
        places_(std::move(places)),
        geometry_(geometry_of(a[-2], a[-1], b[-1])),
        program_(kernels::planned_program(
            geometry_, kernels::Direction::backward_input,
            {Exactness::exact, kernels::Weights::changing, kernels::Planning::estimated})) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    // Matrices lie side by side in row-major order alone.
    Buffer<float> own_a;
    Buffer<float> own_b;
    Buffer<float> own_y;
    const float* const a = rows_of(a_, inputs[0], own_a);
    const float* const b = rows_of(b_, inputs[1], own_b);
    const bool turns = !is_row_major(y_);
    if (turns) own_y = Buffer<float>(static_cast<std::size_t>(y_.numel()));
    float* const y = turns ? own_y.data() : output;
    const int64_t floats = geometry_.in[2] * geometry_.in_channels;
    const auto product = [&](int64_t i) {
      const Matrices& at = places_[static_cast<std::size_t>(i)];
      program_->pack_and_run(a + at.a, b + at.b, {}, y + i * floats);
    };
    // Few products share out their own work.
    constexpr int64_t kManyProducts = 8;
    if (std::ssize(places_) >= kManyProducts)
      parallel_for(std::ssize(places_), product);
    else
      for (int64_t i = 0; i < std::ssize(places_); ++i) product(i);
    if (turns) row_major_to_memory(y_, sizeof(float), y, output);
  }
  Algorithm algorithm() const override {
    const double macs = static_cast<double>(kernels::macs(geometry_));
    return {"matmul", "", 2 * macs * static_cast<double>(places_.size())};
  }

 private:
  Shape a_;
  Shape b_;
  Shape y_;
  std::vector<Matrices> places_;
  kernels::ConvGeometry geometry_;
  std::shared_ptr<const kernels::ConvProgram> program_;
};

Shape without_last_two(const Shape& shape) {
  return Shape(Integers(shape.begin(), shape.end() - 2));
}

// Where each matrix of the batch is, in a tensor in row-major order whose batch stretches.
Integers places_of(const Shape& shape, const Integers& batch) {
  Integers strides(batch.size(), 0);
  int64_t stride = shape[-1] * shape[-2];
  const auto rank = static_cast<std::size_t>(shape.dim()) - 2;
  for (std::size_t i = 0; i < rank; ++i) {
    const int64_t extent = shape.begin()[rank - 1 - i];
    if (extent > 1) strides[batch.size() - 1 - i] = stride;
    stride *= extent;
  }
  int64_t count = 1;
  for (const int64_t extent : batch) count *= extent;
  Integers places;
  for (int64_t i = 0; i < count; ++i) {
    int64_t place = 0;
    int64_t left = i;
    for (std::size_t axis = batch.size(); axis-- > 0; left /= batch[axis])
      place += left % batch[axis] * strides[axis];
    places.push_back(place);
  }
  return places;
}

}  // namespace

std::optional<Native> make_matmul(const Request& request) {
  const Facts& a = request.input(0);
  const Facts& b = request.input(1);
  if (!a.is_float() || !b.is_float() || a.shape.dim() < 2 || b.shape.dim() < 2 ||
      a.shape[-1] != b.shape[-2])
    return std::nullopt;
  Integers extents =
      broadcast_shapes(without_last_two(a.shape), without_last_two(b.shape), "MatMul").to_vector();
  const Integers batch = extents;
  extents.push_back(a.shape[-2]);
  extents.push_back(b.shape[-1]);
  const Shape output(extents);
  // Before places are listed: files may ask for any number of them.
  need_room(output, DType::float32);
  if (request.shape_only) return Native{nullptr, output};
  if (b.constant.defined() && b.shape.dim() == 2)
    return Native{.step = std::make_unique<ConstantMatmulStep>(a.shape, b.constant, output),
                  .output = output};
  const Integers from_a = places_of(a.shape, batch);
  const Integers from_b = places_of(b.shape, batch);
  std::vector<Matrices> places;
  for (std::size_t i = 0; i < from_a.size(); ++i) places.push_back({from_a[i], from_b[i]});
  return Native{.step = std::make_unique<MatmulStep>(a.shape, b.shape, output, std::move(places)),
                .output = output};
}

}  // namespace convkit::infer
