#include "convkit/kernels/conv_fft_filters.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/thread_pool.h"

namespace convkit::kernels {
namespace {

// Floats of a tile of a depthwise unit, so that it stays in the second-level cache.
constexpr int64_t kUnitFloats = 96 * 1024;

}  // namespace

FftFilters::FftFilters(const ConvGeometry& g, Direction direction, const FftCut& cut,
                       const FftTile& tile)
    : tile_(tile),
      kind_(cut.lanes),
      lanes_(fft_kernels().lanes),
      exchanged_(direction == Direction::backward_input),
      kernel_(g.kernel),
      group_in_(g.group_in()),
      group_out_(g.group_out()),
      in_(exchanged_ ? g.group_out() : g.group_in()),
      out_(exchanged_ ? g.group_in() : g.group_out()),
      units_(g.groups),
      unit_channels_(1),
      channels_(g.groups),
      pairs_(tile.frequency_pairs()) {
  if (kind_ == FftLanes::channels) {
    vectors_ = in_ * ceil_div(out_, lanes_);
  } else if (kind_ == FftLanes::tiles) {
    vectors_ = ceil_div(in_ * out_, lanes_);
  } else {
    const int64_t all = ceil_div(channels_, lanes_);
    const int64_t most = std::clamp<int64_t>(kUnitFloats / tile.floats(1), 1, all);
    units_ = ceil_div(all, most);
    vectors_ = ceil_div(all, units_);
    units_ = ceil_div(all, vectors_);
    unit_channels_ = vectors_ * lanes_;
  }
}

int64_t FftFilters::unit_vectors(int64_t unit) const {
  if (kind_ != FftLanes::depthwise) return vectors_;
  return ceil_div(std::min(unit_channels_, channels_ - unit * unit_channels_), lanes_);
}

std::vector<int64_t> FftFilters::origins(int64_t unit, int64_t vector) const {
  const int64_t filter_floats = kernel_[0] * kernel_[1] * kernel_[2] * group_in_;
  std::vector<int64_t> found(static_cast<std::size_t>(2 * lanes_), -1);
  for (int64_t i = 0; i < 2 * lanes_; ++i) {
    const int64_t v = vector + i / lanes_;
    const int64_t lane = i % lanes_;
    int64_t& origin = found[static_cast<std::size_t>(i)];
    if (v >= vectors_) continue;
    if (kind_ == FftLanes::depthwise) {
      const int64_t channel = unit * unit_channels_ + v * lanes_ + lane;
      if (channel < channels_) origin = channel * filter_floats;
      continue;
    }
    int64_t in = v % in_;
    int64_t out = v / in_ * lanes_ + lane;
    if (kind_ == FftLanes::tiles) {
      in = (v * lanes_ + lane) / out_;
      out = (v * lanes_ + lane) % out_;
    }
    if (in >= in_ || out >= out_) continue;
    if (exchanged_) std::swap(in, out);
    origin = (unit * group_out_ + out) * filter_floats + in;
  }
  return found;
}

// Calls visit(element of the tile, floats beyond the first tap) for every tap.
template <class Visit>
void FftFilters::visit_taps(const Visit& visit) const {
  const int64_t last = kernel_[0] * kernel_[1] * kernel_[2] - 1;
  int64_t tap = 0;
  for (int64_t d = 0; d < kernel_[0]; ++d)
    for (int64_t h = 0; h < kernel_[1]; ++h)
      for (int64_t w = 0; w < kernel_[2]; ++w, ++tap)
        visit(tile_.element(0, d) + tile_.element(1, h) + tile_.element(2, w),
              (exchanged_ ? last - tap : tap) * group_in_);
}

void FftFilters::transform(const float* weights, float* spectra) const {
  const FftProductKernels& kernels = fft_product_kernels();
  const int64_t vector_pairs = ceil_div(vectors_, 2);
  const auto count = static_cast<int64_t>(pairs_.size());
  const float scale = 0.5f / static_cast<float>(tile_.points());
  parallel_for(units_ * vector_pairs, [&](int64_t task) {
    const int64_t unit = task / vector_pairs;
    const int64_t vector = task % vector_pairs * 2;
    if (vector >= unit_vectors(unit)) return;
    Buffer<float> tile(static_cast<std::size_t>(tile_.floats(1)));
    Buffer<float> scratch(static_cast<std::size_t>(tile_.scratch_floats()));
    std::fill_n(tile.data(), tile.size(), 0.0f);
    const std::vector<int64_t> from = origins(unit, vector);
    visit_taps([&](int64_t element, int64_t tap) {
      float* const to = tile.data() + element * 2 * lanes_;
      for (std::size_t i = 0; i < from.size(); ++i)
        if (from[i] >= 0) to[i] = weights[from[i] + tap];
    });
    tile_.forward(tile.data(), 1, 0, kernel_, scratch.data());
    float* const to = spectra + unit * unit_floats() + vector * 2 * lanes_;
    kernels.split_filters(tile.data(), pairs_.data(), count, scale, to,
                          vector + 1 < unit_vectors(unit) ? to + 2 * lanes_ : nullptr, step(),
                          kind_ == FftLanes::tiles);
  });
}

void FftFilters::restore(int64_t unit, const float* spectra, float* weights) const {
  const FftProductKernels& kernels = fft_product_kernels();
  const auto count = static_cast<int64_t>(pairs_.size());
  const float scale = 0.5f / static_cast<float>(tile_.points());
  parallel_for(ceil_div(unit_vectors(unit), 2), [&](int64_t task) {
    const int64_t vector = task * 2;
    Buffer<float> tile(static_cast<std::size_t>(tile_.floats(1)));
    Buffer<float> scratch(static_cast<std::size_t>(tile_.scratch_floats()));
    const float* const from = spectra + vector * 2 * lanes_;
    kernels.join_filters(from, vector + 1 < unit_vectors(unit) ? from + 2 * lanes_ : nullptr,
                         step(), kind_ == FftLanes::tiles, pairs_.data(), count, scale,
                         tile.data());
    tile_.inverse(tile.data(), 1, 0, kernel_, scratch.data());
    const std::vector<int64_t> to = origins(unit, vector);
    visit_taps([&](int64_t element, int64_t tap) {
      const float* const values = tile.data() + element * 2 * lanes_;
      for (std::size_t i = 0; i < to.size(); ++i)
        if (to[i] >= 0) weights[to[i] + tap] = values[i];
    });
  });
}

}  // namespace convkit::kernels
