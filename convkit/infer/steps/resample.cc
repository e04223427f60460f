#include <algorithm>
#include <array>
#include <utility>

#include "convkit/base/thread_pool.h"
#include "convkit/infer/sampling.h"
#include "convkit/infer/steps/step.h"
#include "convkit/tensor/layout.h"

namespace convkit::infer {
namespace {

constexpr std::size_t kAxes = 3;

// What each output position along one axis takes: taps first[i] ... first[i + 1] - 1.
struct AxisTaps {
  std::vector<std::size_t> first = {0};
  std::vector<int64_t> index;
  std::vector<float> weight;

  void add(const std::vector<Tap>& taps) {
    for (const Tap& tap : taps) {
      index.push_back(tap.index);
      weight.push_back(static_cast<float>(tap.weight));
    }
    first.push_back(index.size());
  }
  int64_t size() const { return std::ssize(first) - 1; }
};

// Pixels as weighted sums of pixels of the same picture.
class ResampleStep final : public Step {
 public:
  ResampleStep(int64_t batch, int64_t channels, std::array<int64_t, kAxes> in,
               std::array<AxisTaps, kAxes> taps)
      : batch_(batch), channels_(channels), pitch_(channels), in_(in), taps_(std::move(taps)) {}

  void run(std::span<const float* const> inputs, float* output) const override {
    // No structured binding: clang 14 cannot capture one.
    const AxisTaps& depth = taps_[0];
    const AxisTaps& height = taps_[1];
    const int64_t width = taps_[2].size();
    constexpr int64_t kFloatsPerTask = 1 << 13;
    parallel_ranges(batch_ * depth.size() * height.size(),
                    std::max<int64_t>(1, kFloatsPerTask / (width * channels_)),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t r = begin; r < end; ++r) {
                        const int64_t slice = r / height.size();
                        const float* picture =
                            inputs[0] + slice / depth.size() * in_[0] * in_[1] * in_[2] * channels_;
                        float* y = output + r * width * pitch_;
                        for (int64_t w = 0; w < width; ++w)
                          std::fill_n(y + w * pitch_, channels_, 0.0F);
                        add_rows(static_cast<std::size_t>(slice % depth.size()),
                                 static_cast<std::size_t>(r % height.size()), picture, y);
                      }
                    });
  }
  Algorithm algorithm() const override { return {"resample", "", 0}; }
  bool takes_pitch(int operand) const override { return operand == kOutput; }
  void set_pitch(int, int64_t floats) override { pitch_ = floats; }

 private:
  void add_rows(std::size_t d, std::size_t h, const float* picture, float* y) const {
    const auto& [depth, height, width] = taps_;
    for (std::size_t i = depth.first[d]; i < depth.first[d + 1]; ++i)
      for (std::size_t j = height.first[h]; j < height.first[h + 1]; ++j)
        add_row(depth.weight[i] * height.weight[j],
                picture + (depth.index[i] * in_[1] + height.index[j]) * in_[2] * channels_, y);
  }

  void add_row(float factor, const float* row, float* y) const {
    const AxisTaps& width = taps_[2];
    for (std::size_t w = 0; w + 1 < width.first.size(); ++w, y += pitch_)
      for (std::size_t k = width.first[w]; k < width.first[w + 1]; ++k) {
        const float weight = factor * width.weight[k];
        const float* x = row + width.index[k] * channels_;
        for (int64_t c = 0; c < channels_; ++c) y[c] += weight * x[c];
      }
  }

  int64_t batch_;
  int64_t channels_;
  int64_t pitch_;  // floats from position to position of the output
  std::array<int64_t, kAxes> in_;
  std::array<AxisTaps, kAxes> taps_;
};

}  // namespace

std::optional<Native> make_resize(const Request& request) {
  const Facts& x = request.input(0);
  const int64_t rank = x.shape.dim();
  if (!x.is_float() || rank < 3 || rank > 5) return std::nullopt;
  auto inputs = constants_behind(request);
  if (!inputs) return std::nullopt;
  (*inputs)[0] = make(x.shape, DType::boolean);  // of which the shape alone is read
  // Spatial axes fill the last of three.
  const std::size_t shift = kAxes + 2 - static_cast<std::size_t>(rank);
  std::array<int64_t, kAxes> in = {1, 1, 1};
  std::array<AxisTaps, kAxes> taps;
  std::array<bool, kAxes> is_resized = {};
  Shape output = x.shape;
  for (const ResizedAxis& resized : resized_axes({request.node, *inputs})) {
    if (resized.axis < 2 || resized.taps.empty()) return std::nullopt;
    const std::size_t axis = resized.axis - 2 + shift;
    is_resized[axis] = true;
    output = output.with(static_cast<int64_t>(resized.axis), std::ssize(resized.taps));
    for (const std::vector<Tap>& each : resized.taps) {
      if (each.empty()) return std::nullopt;
      taps[axis].add(each);
    }
  }
  for (std::size_t axis = 0; axis < kAxes; ++axis) {
    if (axis >= shift) in[axis] = x.shape.begin()[axis + 2 - shift];
    if (is_resized[axis]) continue;
    for (int64_t i = 0; i < in[axis]; ++i) taps[axis].add({{i, 1}});
  }
  return Native{std::make_unique<ResampleStep>(x.shape[0], x.shape[1], in, std::move(taps)),
                output};
}

}  // namespace convkit::infer
