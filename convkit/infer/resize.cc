#include <algorithm>
#include <cmath>
#include <numeric>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/sampling.h"

namespace convkit::infer {
namespace {

// One axis of a resize.
struct Axis {
  std::size_t axis;
  int64_t in;
  int64_t out;
  double scale;
  double roi_start = 0;
  double roi_end = 1;
};

// Where output position x lies in the input. NaN: outside of the region that is cropped. In float,
// as runtimes do it: where a position is halfway between two elements, its last bit decides.
double original_position(const Axis& a, const std::string& mode, int64_t position) {
  const auto x = static_cast<float>(position);
  const auto in = static_cast<float>(a.in);
  const auto scale = static_cast<float>(a.scale);
  const float out = scale * in;  // not rounded, as in the definition
  const float half_pixel = (x + 0.5F) / scale - 0.5F;
  if (mode == "half_pixel") return half_pixel;
  if (mode == "asymmetric") return x / scale;
  if (mode == "pytorch_half_pixel") return a.out == 1 ? 0 : half_pixel;
  if (mode == "align_corners") return out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (mode == "tf_half_pixel_for_nn") return (x + 0.5F) / scale;
  if (mode == "half_pixel_symmetric") {
    const float offset = in / 2 * (1 - static_cast<float>(a.out) / out);
    return offset + half_pixel;
  }
  CONVKIT_CHECK(mode == "tf_crop_and_resize", ValueError, "coordinate_transformation_mode is '",
                mode, "'");
  const auto start = static_cast<float>(a.roi_start);
  const auto part = static_cast<float>(a.roi_end) - start;
  const float within = out == 1 ? part * (in - 1) / 2 : x * part * (in - 1) / (out - 1);
  const float at = start * (in - 1) + within;
  return at < 0 || at > in - 1 ? NAN : at;
}

// The input element for a position between two.
int64_t nearest(double position, const std::string& mode) {
  const double below = std::floor(position);
  const double fraction = position - below;
  bool up = false;
  if (mode == "round_prefer_floor") {
    up = fraction > 0.5;
  } else if (mode == "round_prefer_ceil") {
    up = fraction >= 0.5;
  } else if (mode == "ceil") {
    up = fraction > 0;
  } else {
    CONVKIT_CHECK(mode == "floor", ValueError, "nearest_mode is '", mode, "'");
  }
  return static_cast<int64_t>(below) + (up ? 1 : 0);
}

std::vector<Axis> axes_of(const Call& call) {
  const Tensor& x = call.input(0);
  Integers axes = call.integers("axes");
  if (axes.empty()) {
    axes.resize(static_cast<std::size_t>(x.dim()));
    std::iota(axes.begin(), axes.end(), int64_t{0});
  }
  const bool by_scales = call.has(2) && call.input(2).numel() > 0;
  const bool by_sizes = call.has(3) && call.input(3).numel() > 0;
  CONVKIT_CHECK(by_scales != by_sizes, ValueError, "one of scales and sizes must be given, not ",
                by_scales ? "both" : "none");
  const Tensor& given = call.input(by_scales ? 2 : 3);
  CONVKIT_CHECK(given.dim() == 1 && given.numel() == std::ssize(axes), ShapeError,
                by_scales ? "scales" : "sizes", " has ", given.numel(), " numbers for ",
                axes.size(), " axes");
  const bool crops = call.text("coordinate_transformation_mode") == "tf_crop_and_resize";
  CONVKIT_CHECK(!crops || (call.has(1) && call.input(1).numel() == 2 * std::ssize(axes)),
                ShapeError, "tf_crop_and_resize needs a roi of ", 2 * axes.size(), " numbers");
  const Integers sizes = by_sizes ? integers_of(given, "sizes") : Integers();
  std::vector<bool> seen(static_cast<std::size_t>(x.dim()), false);
  std::vector<Axis> result;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    Axis a{};
    a.axis = normal_axis(axes[i], x.dim());
    CONVKIT_CHECK(!seen[a.axis], ShapeError, "axis ", axes[i], " is named twice");
    seen[a.axis] = true;
    a.in = x.shape().begin()[a.axis];
    const auto at = static_cast<int64_t>(i);
    if (by_scales) {
      a.scale = given.at({at});
      CONVKIT_CHECK(a.scale > 0 && std::isfinite(a.scale), ValueError, "scale ", a.scale,
                    " must be above 0");
      // In float, as runtimes do: 5 · 1.4 is 7.
      const float out = std::floor(static_cast<float>(a.scale) * static_cast<float>(a.in));
      CONVKIT_CHECK(out < 0x1p31F, ValueError, "scale ", a.scale, " gives ", out, " elements");
      a.out = static_cast<int64_t>(out);
    } else {
      a.out = sizes[i];
      CONVKIT_CHECK(a.out >= 1 && a.out <= INT32_MAX && a.in >= 1, ValueError, "size ", a.out,
                    " for an axis of ", a.in, " elements");
      a.scale = static_cast<double>(a.out) / static_cast<double>(a.in);
    }
    a.roi_end = 1;
    if (crops) {
      a.roi_start = call.input(1).at({at});
      a.roi_end = call.input(1).at({at + std::ssize(axes)});
    }
    result.push_back(a);
  }
  const std::string& policy = call.text("keep_aspect_ratio_policy");
  if (by_sizes && policy != "stretch") {
    CONVKIT_CHECK(policy == "not_larger" || policy == "not_smaller", ValueError,
                  "keep_aspect_ratio_policy is '", policy, "'");
    const auto less = [](const Axis& a, const Axis& b) { return a.scale < b.scale; };
    const double scale = policy == "not_larger"
                             ? std::min_element(result.begin(), result.end(), less)->scale
                             : std::max_element(result.begin(), result.end(), less)->scale;
    for (Axis& a : result) {
      const double out = std::floor(scale * static_cast<double>(a.in) + 0.5);
      CONVKIT_CHECK(out < 0x1p31, ValueError, "the sizes give ", out, " elements");
      a.out = static_cast<int64_t>(out);
      a.scale = scale;
    }
  }
  return result;
}

std::vector<std::vector<Tap>> taps_along(const Call& call, const Axis& a) {
  const std::string& mode = call.text("mode");
  const std::string& transform = call.text("coordinate_transformation_mode");
  const bool is_linear = mode == "linear";
  CONVKIT_CHECK(is_linear || mode == "cubic" || mode == "nearest", ValueError, "mode is '", mode,
                "'; it can be nearest, linear or cubic");
  const double stretch = call.flag("antialias") && a.scale < 1 ? a.scale : 1;
  const double reach = (is_linear ? 1 : 2) / stretch;
  CONVKIT_CHECK(reach < 0x1p31, ValueError, "scale ", a.scale, " is too small");
  std::vector<std::vector<Tap>> all;
  for (int64_t position = 0; position < a.out; ++position) {
    const double at = original_position(a, transform, position);
    std::vector<Tap> taps;
    if (std::isnan(at)) {
      all.push_back(taps);
      continue;
    }
    CONVKIT_CHECK(std::abs(at) < 0x1p40, ValueError, "a position is ", at);
    if (mode == "nearest") {
      const int64_t index = nearest(at, call.text("nearest_mode"));
      all.push_back({{std::clamp<int64_t>(index, 0, a.in - 1), 1}});
      continue;
    }
    double sum = 0;
    const auto first = static_cast<int64_t>(std::floor(at - reach)) + 1;
    for (int64_t index = first; static_cast<double>(index) < at + reach; ++index) {
      const bool outside = index < 0 || index >= a.in;
      if (outside && call.flag("exclude_outside")) continue;
      const double distance = (static_cast<double>(index) - at) * stretch;
      const double weight = is_linear ? linear_weight(distance)
                                      : cubic_weight(distance, call.number("cubic_coeff_a"));
      sum += weight;
      const int64_t inside = std::clamp<int64_t>(index, 0, a.in - 1);
      if (!taps.empty() && taps.back().index == inside) {
        taps.back().weight += weight;
      } else {
        taps.push_back({inside, weight});
      }
    }
    for (Tap& tap : taps) tap.weight /= sum;
    all.push_back(std::move(taps));
  }
  return all;
}

// y[..., i, ...] = Σ of taps[i] of x along one axis; `otherwise` where there are none.
Tensor resampled(const Tensor& x, std::size_t axis, const std::vector<std::vector<Tap>>& taps,
                 double otherwise) {
  Tensor y = make(x.shape().with(static_cast<int64_t>(axis), std::ssize(taps)), DType::float64);
  Integers box = y.shape().to_vector();
  box[axis] = 1;
  if (y.numel() == 0) return y;
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(x.shape());
  double* target = y.mutable_data<double>();
  const double* source = x.data<double>();
  for (std::size_t i = 0; i < taps.size(); ++i) {
    double* row_start = target + static_cast<int64_t>(i) * to[axis];
    for_each_row(box, {to, from}, [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
      for (int64_t k = 0; k < count; ++k) {
        double sum = taps[i].empty() ? otherwise : 0;
        for (const Tap& tap : taps[i])
          sum += tap.weight * source[offsets[1] + k * steps[1] + tap.index * from[axis]];
        row_start[offsets[0] + k * steps[0]] = sum;
      }
    });
  }
  return y;
}

// Nearest neighbours keep their bits, of any type.
Tensor picked(const Tensor& x, std::size_t axis, const std::vector<std::vector<Tap>>& taps,
              double otherwise) {
  Tensor y = make(x.shape().with(static_cast<int64_t>(axis), std::ssize(taps)), x.dtype());
  Integers box = y.shape().to_vector();
  box[axis] = 1;
  if (y.numel() == 0) return y;
  y.fill(otherwise);
  const Place to = place_of(y);
  const ConstPlace from = place_of(x);
  const std::size_t item = item_size(x.dtype());
  for (std::size_t i = 0; i < taps.size(); ++i)
    if (!taps[i].empty())
      copy(box, item,
           {advance(to.data, static_cast<int64_t>(i) * to.strides[axis], item), to.strides},
           {advance(from.data, taps[i][0].index * from.strides[axis], item), from.strides});
  return y;
}

}  // namespace

std::vector<ResizedAxis> resized_axes(const Call& call) {
  const Tensor& x = call.input(0);
  const std::vector<Axis> axes = axes_of(call);
  // The size of the result before anything is listed: a file may ask for any.
  Integers extents = x.shape().to_vector();
  for (const Axis& a : axes) extents[a.axis] = a.out;
  need_room(Shape(extents), DType::float64);
  constexpr int64_t kNumbersPerPosition = 16;  // about what a list of taps takes
  int64_t positions = 0;
  for (const Axis& a : axes) positions += a.out;
  need_room({positions * kNumbersPerPosition}, DType::float64);
  const bool crops = call.text("coordinate_transformation_mode") == "tf_crop_and_resize";
  std::vector<ResizedAxis> resized;
  for (const Axis& a : axes) {
    if (a.in == a.out && a.scale == 1 && !crops) continue;
    CONVKIT_CHECK(a.in > 0 || a.out == 0, ShapeError, "the input ", x.shape(), " is empty");
    resized.push_back({a.axis, taps_along(call, a)});
  }
  return resized;
}

Tensors run_resize(const Call& call) {
  const Tensor& x = call.input(0);
  const std::vector<ResizedAxis> axes = resized_axes(call);
  const double otherwise = call.number("extrapolation_value");
  const bool is_nearest = call.text("mode") == "nearest";
  Tensor y = is_nearest ? x : x.to(DType::float64);
  // The innermost axis first.
  for (std::size_t i = axes.size(); i-- > 0;)
    y = is_nearest ? picked(y, axes[i].axis, axes[i].taps, otherwise)
                   : resampled(y, axes[i].axis, axes[i].taps, otherwise);
  return {y.to(x.dtype())};
}

}  // namespace convkit::infer
