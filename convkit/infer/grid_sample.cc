#include <algorithm>
#include <cmath>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/sampling.h"

namespace convkit::infer {
namespace {

enum class Outside { zeros, border, reflection };
enum class Mode { nearest, linear, cubic };

Outside outside_of(const std::string& name) {
  if (name == "zeros") return Outside::zeros;
  if (name == "border") return Outside::border;
  CONVKIT_CHECK(name == "reflection", ValueError, "padding_mode is '", name,
                "'; it can be zeros, border or reflection");
  return Outside::reflection;
}

Mode mode_of(const std::string& name) {
  if (name == "nearest") return Mode::nearest;
  if (name == "linear") return Mode::linear;
  CONVKIT_CHECK(name == "cubic", ValueError, "mode is '", name,
                "'; it can be nearest, linear or cubic");
  return Mode::cubic;
}

// Mirrored at the ends until it lies between them.
double reflected(double x, double low, double high) {
  const double length = high - low;
  if (length <= 0) return low;
  const double away = std::fmod(std::abs(x - low), 2 * length);
  return low + (away > length ? 2 * length - away : away);
}

// One axis: what lies where, in the input's pixels.
struct Axis {
  int64_t extent;
  bool align_corners;
  Outside outside;
  Mode mode;

  double low() const { return align_corners ? 0 : -0.5; }
  double high() const { return static_cast<double>(extent) - (align_corners ? 1 : 0.5); }

  // The taps for a grid's number in [-1, 1].
  void taps(double grid, std::vector<Tap>& result) const {
    result.clear();
    const auto n = static_cast<double>(extent);
    double x = align_corners ? (grid + 1) / 2 * (n - 1) : ((grid + 1) * n - 1) / 2;
    if (!std::isfinite(x)) x = -1e9;  // outside
    if (mode == Mode::nearest) x = std::nearbyint(x);
    if (x < low() || x > high()) {
      if (outside == Outside::border) x = std::clamp(x, 0.0, n - 1);
      if (outside == Outside::reflection) x = reflected(x, low(), high());
    }
    if (outside == Outside::zeros && (x < -4 || x > n + 4)) return;
    const int reach = mode == Mode::cubic ? 2 : mode == Mode::linear ? 1 : 0;
    const auto first = static_cast<int64_t>(std::floor(x)) + 1 - reach;
    if (reach == 0) {
      add(static_cast<int64_t>(std::nearbyint(x)), 1, result);
      return;
    }
    for (int64_t index = first; index < first + 2 * reach; ++index) {
      const double distance = static_cast<double>(index) - x;
      constexpr double kCubic = -0.75;
      add(index, reach == 1 ? linear_weight(distance) : cubic_weight(distance, kCubic), result);
    }
  }

 private:
  void add(int64_t index, double weight, std::vector<Tap>& result) const {
    const bool inside = index >= 0 && index < extent;
    if (!inside && outside == Outside::zeros) return;
    if (!inside && outside == Outside::reflection)
      index = static_cast<int64_t>(
          std::nearbyint(reflected(static_cast<double>(index), low(), high())));
    result.push_back({std::clamp<int64_t>(index, 0, extent - 1), weight});
  }
};

}  // namespace

// y[n, c, o] = x[n, c, ...] between the pixels that grid[n, o, :] points to; its last axis counts
// (x, y, z), the spatial axes backwards.
Tensors run_grid_sample(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& grid = call.input(1);
  need_floating(call, 0);
  need_floating(call, 1);
  const int64_t axes = x.dim() - 2;
  CONVKIT_CHECK(axes >= 1 && axes <= 3 && grid.dim() == x.dim() && grid.size(-1) == axes &&
                    grid.size(0) == x.size(0),
                ShapeError, "the input ", x.shape(), " and the grid ", grid.shape(),
                " should be (N, C, spatial...) and (N, spatial..., axes)");
  std::vector<Axis> along;
  Integers extents = {x.size(0), x.size(1)};
  for (int64_t i = 0; i < axes; ++i) {
    CONVKIT_CHECK(x.size(i + 2) >= 1, ShapeError, "the input ", x.shape(), " is empty");
    along.push_back({x.size(i + 2), call.flag("align_corners"),
                     outside_of(call.text("padding_mode")), mode_of(call.text("mode"))});
    extents.push_back(grid.size(i + 1));
  }
  Tensor y = make(Shape(extents), x.dtype());
  const Integers to = memory_strides(y.shape());
  const Integers from = memory_strides(x.shape());
  const Integers grid_strides = memory_strides(grid.shape());
  const int64_t channels = x.size(1);
  std::vector<double> sums(static_cast<std::size_t>(channels));
  std::vector<double> pixel(sums.size());
  std::vector<std::vector<Tap>> taps(3, std::vector<Tap>{{0, 1}});
  // The box of output positions, batch included.
  Integers box = extents;
  box.erase(box.begin() + 1);
  const auto without_channels = [](Integers strides) {
    strides.erase(strides.begin() + 1);
    return strides;
  };
  Integers batch(box.size(), 0);
  batch[0] = from[0];
  Integers grid_at(grid_strides.begin(), grid_strides.end() - 1);
  const auto at_output = [&](int64_t write, int64_t image, int64_t grid_place) {
    for (int64_t i = 0; i < axes; ++i) {
      double number = 0;
      load(grid.dtype(), grid.raw_data(), grid_place + (axes - 1 - i) * grid_strides.back(), 1, 1,
           &number);
      along[static_cast<std::size_t>(i)].taps(number, taps[static_cast<std::size_t>(i)]);
    }
    std::fill(sums.begin(), sums.end(), 0.0);
    for (const Tap& a : taps[0])
      for (const Tap& b : taps[1])
        for (const Tap& c : taps[2]) {
          int64_t read = image + a.index * from[2];
          if (axes > 1) read += b.index * from[3];
          if (axes > 2) read += c.index * from[4];
          load(x.dtype(), x.raw_data(), read, from[1], channels, pixel.data());
          const double weight = a.weight * b.weight * c.weight;
          for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += weight * pixel[k];
        }
    store(y.dtype(), y.raw_mutable_data(), write, to[1], channels, sums.data());
  };
  if (y.numel() > 0)
    for_each_row(box, {without_channels(to), batch, grid_at},
                 [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                   for (int64_t i = 0; i < count; ++i)
                     at_output(offsets[0] + i * steps[0], offsets[1] + i * steps[1],
                               offsets[2] + i * steps[2]);
                 });
  return {y};
}

}  // namespace convkit::infer
