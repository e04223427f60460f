#include "convkit/kernels/fft_tile.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "convkit/base/error.h"

namespace convkit::kernels {
namespace {

// A line and the two buffers of its passes stay near the first-level cache.
constexpr int64_t kLongestLine = 128;

// The factors of an axis: one line where it is short, else as square as can be.
std::pair<int64_t, int64_t> split(int64_t length) {
  if (length <= kLongestLine) return {1, length};
  int64_t outer = 1;
  for (int64_t factor = 2; factor * factor <= length; ++factor)
    if (length % factor == 0) outer = factor;
  return {outer, length / outer};
}

std::vector<float> twiddles_between(int64_t outer, int64_t inner) {
  std::vector<float> twiddles;
  if (outer == 1) return twiddles;
  twiddles.reserve(static_cast<std::size_t>(2 * outer * inner));
  for (int64_t k1 = 0; k1 < outer; ++k1)
    for (int64_t n2 = 0; n2 < inner; ++n2) {
      const double angle = -2.0 * std::numbers::pi * static_cast<double>(k1 * n2) /
                           static_cast<double>(outer * inner);
      twiddles.push_back(static_cast<float>(std::cos(angle)));
      twiddles.push_back(static_cast<float>(std::sin(angle)));
    }
  return twiddles;
}

}  // namespace

FftTile::FftTile(const Extents& extents) : extents_(extents), kernels_(fft_kernels()) {
  CONVKIT_CHECK(points() <= kMostElements, ValueError, "fft: a tile of ", points(),
                " elements is larger than ", kMostElements);
  int64_t pitch = 1;
  for (int axis = kAxes - 1; axis >= 0; --axis) {
    const auto [outer, inner] = split(extents[static_cast<std::size_t>(axis)]);
    // An odd number of elements between lines spreads them over the caches.
    const int64_t outer_step = outer > 1 ? pitch * inner | 1 : pitch * inner;
    axes_.insert(axes_.begin(), {outer, inner, outer_step, pitch, FftPlan(outer), FftPlan(inner),
                                 twiddles_between(outer, inner)});
    longest_ = std::max({longest_, outer, inner});
    if (outer * inner > 1) pitch = outer_step * outer | 1;
  }
  elements_ = pitch;
}

int64_t FftTile::pass_count(const Extents& extents) {
  int64_t passes = 0;
  for (const int64_t extent : extents) {
    const auto [outer, inner] = split(extent);
    passes += fft_pass_count(outer) + fft_pass_count(inner);
  }
  return passes;
}

double FftTile::lines_per_element(int64_t extent) {
  if (extent == 1) return 0.0;
  const auto [outer, inner] = split(extent);
  return static_cast<double>(outer > 1 ? outer + inner : 1) / static_cast<double>(extent);
}

std::vector<FrequencyPair> FftTile::frequency_pairs() const {
  // Frequency k of an axis lies at place [k mod outer][k / outer].
  const auto place = [this](int axis, int64_t k) {
    const Axis& a = axes_[static_cast<std::size_t>(axis)];
    const int64_t length = a.outer * a.inner;
    k = (k + length) % length;
    return k % a.outer * a.outer_step + k / a.outer * a.inner_step;
  };
  std::vector<FrequencyPair> pairs;
  pairs.reserve(static_cast<std::size_t>(points() / 2 + 4));
  for (int64_t d = 0; d < extents_[0]; ++d)
    for (int64_t h = 0; h < extents_[1]; ++h)
      for (int64_t w = 0; w < extents_[2]; ++w) {
        const int64_t plus = place(0, d) + place(1, h) + place(2, w);
        const int64_t minus = place(0, -d) + place(1, -h) + place(2, -w);
        if (plus <= minus)
          pairs.push_back({static_cast<int32_t>(plus), static_cast<int32_t>(minus)});
      }
  std::sort(pairs.begin(), pairs.end(),
            [](const FrequencyPair& a, const FrequencyPair& b) { return a.plus < b.plus; });
  return pairs;
}

void FftTile::transform_axis(const Axis& axis, float* from, int64_t vector_floats, bool inverse,
                             float* scratch) const {
  const int64_t outer_step = axis.outer_step * vector_floats;
  const int64_t inner_step = axis.inner_step * vector_floats;
  const auto columns = [&](bool twiddled) {
    for (int64_t i = 0; axis.outer > 1 && i < axis.inner; ++i) {
      float* const place = from + i * inner_step;
      FftLine line{place, outer_step, place, outer_step};
      if (twiddled) line.twiddles = axis.twiddles.data() + 2 * i;
      line.twiddle_step = 2 * axis.inner;
      kernels_.transform(axis.columns, line, inverse, scratch);
    }
  };
  const auto rows = [&](bool twiddled) {
    for (int64_t i = 0; i < axis.outer; ++i) {
      float* const place = from + i * outer_step;
      FftLine line{place, inner_step, place, inner_step};
      if (twiddled && axis.outer > 1) line.twiddles = axis.twiddles.data() + 2 * i * axis.inner;
      line.twiddle_step = 2;
      kernels_.transform(axis.rows, line, inverse, scratch);
    }
  };
  if (inverse) {
    rows(false);
    columns(true);
  } else {
    columns(false);
    rows(true);
  }
}

void FftTile::forward(float* tile, int64_t vectors, int64_t vector, const Extents& used,
                      float* scratch) const {
  const int64_t vector_floats = vectors * 2 * kernels_.lanes;
  float* const first = tile + vector * 2 * kernels_.lanes;
  // Whole lines of zeros stay zeros until their axis' turn comes.
  if (extents_[2] > 1)
    for (int64_t d = 0; d < used[0]; ++d)
      for (int64_t h = 0; h < used[1]; ++h)
        transform_axis(axes_[2], first + (element(0, d) + element(1, h)) * vector_floats,
                       vector_floats, false, scratch);
  if (extents_[1] > 1)
    for (int64_t d = 0; d < used[0]; ++d)
      for (int64_t w = 0; w < extents_[2]; ++w)
        transform_axis(axes_[1], first + (element(0, d) + element(2, w)) * vector_floats,
                       vector_floats, false, scratch);
  if (extents_[0] > 1)
    for (int64_t h = 0; h < extents_[1]; ++h)
      for (int64_t w = 0; w < extents_[2]; ++w)
        transform_axis(axes_[0], first + (element(1, h) + element(2, w)) * vector_floats,
                       vector_floats, false, scratch);
}

void FftTile::inverse(float* tile, int64_t vectors, int64_t vector, const Extents& used,
                      float* scratch) const {
  const int64_t vector_floats = vectors * 2 * kernels_.lanes;
  float* const first = tile + vector * 2 * kernels_.lanes;
  if (extents_[0] > 1)
    for (int64_t h = 0; h < extents_[1]; ++h)
      for (int64_t w = 0; w < extents_[2]; ++w)
        transform_axis(axes_[0], first + (element(1, h) + element(2, w)) * vector_floats,
                       vector_floats, true, scratch);
  if (extents_[1] > 1)
    for (int64_t d = 0; d < used[0]; ++d)
      for (int64_t w = 0; w < extents_[2]; ++w)
        transform_axis(axes_[1], first + (element(0, d) + element(2, w)) * vector_floats,
                       vector_floats, true, scratch);
  if (extents_[2] > 1)
    for (int64_t d = 0; d < used[0]; ++d)
      for (int64_t h = 0; h < used[1]; ++h)
        transform_axis(axes_[2], first + (element(0, d) + element(1, h)) * vector_floats,
                       vector_floats, true, scratch);
}

}  // namespace convkit::kernels
