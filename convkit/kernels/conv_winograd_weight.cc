#include <algorithm>
#include <array>
#include <vector>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/task_memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_rows.h"
#include "convkit/kernels/conv_tile.h"
#include "convkit/kernels/conv_winograd.h"
#include "convkit/kernels/winograd_tiles.h"

// The gradient of the weight: dw is a correlation of x with dy, whose results are few (3×3) and
// whose taps come in tiles (4×4), so F(3, 4) at the points of F(4, 3): with V = Bᵀ x B and
// S = G' dy G'ᵀ of every tile,
//
//   dw[co, ci] = A'ᵀ [ Σ over tiles S[co] ⊙ V[ci] ] A'
//
// and the sum is one matrix product per point.
namespace convkit::kernels {
namespace {

// Floats of transformed x and dy that a slab of tiles takes.
constexpr int64_t kSlabFloats = int64_t{1} << 21;
constexpr int64_t kFewestSlabTiles = 112;
constexpr int64_t kTilesPerTask = 4;
// Tiles that a micro-kernel sums at a time: their panel stays in the first-level cache.
constexpr int64_t kDepth = 128;
constexpr int64_t kMostParts = 4;
constexpr int64_t kFewestPartTiles = 64;

class WinogradWeight : public ConvProgram {
 public:
  WinogradWeight(const ConvGeometry& geometry, WinogradVariant variant)
      : axes_(winograd_axes(geometry)),
        g_(axes_.geometry),
        transforms_(winograd_kernels(variant)),
        kernels_(tile_kernels()) {
    const ConvGeometry& g = g_;
    const auto padded = [&](int64_t channels) {
      const int64_t pitch = round_up(channels, kernels_.lanes);
      // Steps of 128 bytes would use few sets of the first-level cache.
      return pitch % 32 == 0 ? pitch + 16 : pitch;
    };
    pitch_x_ = padded(g.in_channels);
    pitch_dy_ = padded(g.out_channels);
    grid_ = WinogradTiles(transforms_, g.batch, g.out);
    total_tiles_ = grid_.count();
    slab_tiles_ =
        std::clamp<int64_t>(kSlabFloats / (points() * (g.in[0] * pitch_x_ + g.out[0] * pitch_dy_)),
                            std::min(kFewestSlabTiles, total_tiles_), total_tiles_);
    slab_tiles_ = ceil_div(total_tiles_, ceil_div(total_tiles_, slab_tiles_));
    point_x_ = kept_apart(g.in[0] * slab_tiles_ * pitch_x_);
    point_dy_ = kept_apart(g.out[0] * slab_tiles_ * pitch_dy_);
    width_ = kMaxTileVectors * kernels_.lanes;
    columns_ = ceil_div(g.in_channels, width_);
    pitch_m_ = round_up(g.in_channels, kernels_.lanes);
    const int64_t operands = points() * slab_tiles_ * (g.in[0] * pitch_x_ + g.out[0] * pitch_dy_);
    while (parts_ < kMostParts && 2 * parts_ * kFewestPartTiles <= slab_tiles_ &&
           2 * parts_ * part_floats() <= operands)
      parts_ *= 2;
    zeros_ = Buffer<float>(static_cast<std::size_t>(std::max(pitch_x_, pitch_dy_)));
    std::fill_n(zeros_.data(), std::max(pitch_x_, pitch_dy_), 0.0f);
  }

  void run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const override;
  ConvWork work() const override;

 private:
  int64_t points() const { return transforms_.tile.points(); }
  int64_t slices() const { return g_.in[0] + g_.out[0]; }
  void transform(const float* x, const float* dy, int64_t tile, int64_t slice, float* v,
                 float* s) const;
  void multiply(const float* v, const float* s, const WinogradTiles::Range& some, int64_t task,
                bool accumulate, float* sums) const;
  int64_t point_floats() const { return g_.kernel[0] * g_.out_channels * pitch_m_; }
  int64_t part_floats() const { return points() * point_floats(); }

  WinogradAxes axes_;
  const ConvGeometry& g_;
  const WinogradKernels& transforms_;
  const TileKernels& kernels_;
  int64_t pitch_x_ = 0;  // floats from tile to tile
  int64_t pitch_dy_ = 0;
  int64_t point_x_ = 0;  // floats from point to point
  int64_t point_dy_ = 0;
  int64_t pitch_m_ = 0;  // floats from output to output channel of the sums
  WinogradTiles grid_;
  int64_t total_tiles_ = 0;  // of one depth, over the batch
  int64_t slab_tiles_ = 0;
  // Of a slab: each has sums of its own. Threads so multiply what they have transformed themselves
  // and exchange sums only, which where no cache is shared takes less than half as long.
  int64_t parts_ = 1;
  int64_t width_ = 0;
  int64_t columns_ = 0;
  Buffer<float> zeros_;
};

// One tile of one depth of x (slice < in[0]) or of dy (the slices after these), to
// [point][slice][tile][channel].
void WinogradWeight::transform(const float* x, const float* dy, int64_t tile, int64_t slice,
                               float* v, float* s) const {
  const WinogradTile& shape = transforms_.tile;
  const bool input = slice < g_.in[0];
  const int64_t depth = input ? slice : slice - g_.in[0];
  const int64_t channels = input ? g_.in_channels : g_.out_channels;
  WinogradTiles::Place first = grid_.place(tile);
  const WinogradSize size = grid_.size(first);
  if (input) {
    first.h -= g_.pad_lo[1];
    first.w -= g_.pad_lo[2];
  }
  const float* pixels[kMostTilePixels];
  WinogradPicture{input ? x : dy, input ? g_.in : g_.out, input ? axes_.in : axes_.out, channels,
                  zeros_.data()}
      .gather(first, depth, input ? shape.in_h() : shape.out_h, input ? shape.in_w() : shape.out_w,
              pixels);
  const int64_t place = depth * slab_tiles_ + tile % slab_tiles_;
  if (input)
    transforms_.input(pixels, channels, size, v + place * pitch_x_, point_x_);
  else
    transforms_.slope(pixels, channels, size, s + place * pitch_dy_, point_dy_);
}

// sums[point][tap along D][co][ci] of one point and block of ci, over those of some tiles of a slab
// that have the point.
void WinogradWeight::multiply(const float* v, const float* s, const WinogradTiles::Range& some,
                              int64_t task, bool accumulate, float* sums) const {
  const int64_t point = task / columns_;
  const int64_t first = task % columns_ * width_;
  const WinogradTiles::Range having = grid_.with_point(point).within(some);
  const int64_t tiles = having.count();
  const int64_t tile = having.first % slab_tiles_;
  const int64_t left = g_.in_channels - first;
  const int vectors = left > kernels_.lanes ? 2 : 1;
  const float* const from = v + point * point_x_ + tile * pitch_x_ + first;
  const float* const slopes = s + point * point_dy_ + tile * pitch_dy_;
  TaskMemory memory;
  RowTable rows(&memory);
  rows.input.reserve(static_cast<std::size_t>(g_.out_channels));
  rows.output.reserve(static_cast<std::size_t>(g_.out_channels));
  for (int64_t co = 0; co < g_.out_channels; ++co) {
    rows.input.push_back(slopes + co);
    rows.output.push_back(co * pitch_m_);
  }
  TileJob job;
  job.a_step = pitch_dy_;
  job.b = from;
  job.b_step = pitch_x_;
  job.columns = std::min(vectors * kernels_.lanes, pitch_m_ - first);
  std::pmr::vector<TileSegment> segments(&memory);
  for (int64_t kd = 0; kd < g_.kernel[0]; ++kd) {
    job.c = sums + (point * g_.kernel[0] + kd) * g_.out_channels * pitch_m_ + first;
    segments.clear();
    for (int64_t d = 0; d < g_.out[0]; ++d) {
      const int64_t depth = d - g_.pad_lo[0] + kd;
      if (depth >= 0 && depth < g_.in[0])
        segments.push_back({d * slab_tiles_ * pitch_dy_, depth * slab_tiles_ * pitch_x_});
    }
    // Slices of tiles in turn, in pieces of at most kDepth tiles.
    const int64_t at_once = std::max<int64_t>(1, kDepth / std::max<int64_t>(1, tiles));
    const int64_t count = tiles > 0 ? std::ssize(segments) : 0;
    job.accumulate = accumulate;
    for (int64_t begin = 0; begin < count; begin += at_once) {
      job.segments = segments.data() + begin;
      job.segment_count = std::min(count - begin, at_once);
      for (int64_t start = 0; start < tiles; start += kDepth) {
        job.a_start = start * pitch_dy_;
        job.b = from + start * pitch_x_;
        job.depth = std::min(tiles - start, kDepth);
        run_tiles(rows, kernels_.run[vectors], kernels_.max_rows[vectors], job);
        job.accumulate = true;
      }
    }
    if (count == 0 && !accumulate) {  // a tap that sees padding only, or a point of other tiles
      job.segment_count = 0;
      run_tiles(rows, kernels_.run[vectors], kernels_.max_rows[vectors], job);
    }
  }
}

ConvWork WinogradWeight::work() const {
  const auto lanes = static_cast<double>(kernels_.lanes);
  const auto all_points = static_cast<double>(grid_.products());
  const auto depths = static_cast<double>(g_.kernel[0] * g_.out[0]);
  const auto outputs = static_cast<double>(g_.out_channels);
  ConvWork work;
  work.products = all_points * depths * outputs * static_cast<double>(columns_ * width_) / lanes;
  work.transforms =
      all_points * static_cast<double>(g_.in[0] * pitch_x_ + g_.out[0] * pitch_dy_) / lanes;
  // Sums are read and written once for each piece of a slab.
  const double pieces =
      static_cast<double>(ceil_div(total_tiles_, slab_tiles_)) *
      std::max(static_cast<double>(parts_),
               static_cast<double>(slab_tiles_ * g_.out[0]) / static_cast<double>(kDepth));
  const auto sums = static_cast<double>(points() * g_.kernel[0] * pitch_m_) * outputs / lanes;
  work.weights = pieces * sums;
  work.calls = pieces * static_cast<double>(points() * g_.kernel[0] * columns_) * outputs /
               static_cast<double>(kernels_.max_rows[kMaxTileVectors]);
  work.packing = sums;
  work.tensors = static_cast<double>(input_count(g_) + output_count(g_)) / lanes;
  return work;
}

void WinogradWeight::run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const {
  Buffer<float> v(static_cast<std::size_t>(points() * point_x_));
  Buffer<float> s(static_cast<std::size_t>(points() * point_dy_));
  Buffer<float> sums(static_cast<std::size_t>(parts_ * part_floats()));
  for (int64_t first = 0; first < total_tiles_; first += slab_tiles_) {
    const int64_t tiles = std::min(slab_tiles_, total_tiles_ - first);
    const int64_t chunks = ceil_div(ceil_div(tiles, parts_), kTilesPerTask);
    parallel_for(parts_ * slices() * chunks, [&](int64_t task) {
      const int64_t part = task / (slices() * chunks);
      const int64_t begin = tiles * part / parts_ + task % chunks * kTilesPerTask;
      const int64_t end = std::min(tiles * (part + 1) / parts_, begin + kTilesPerTask);
      for (int64_t i = begin; i < end; ++i)
        transform(x, dy, first + i, task / chunks % slices(), v.data(), s.data());
    });
    const int64_t products = points() * columns_;
    parallel_for(parts_ * products, [&](int64_t task) {
      const int64_t part = task / products;
      multiply(v.data(), s.data(),
               {first + tiles * part / parts_, first + tiles * (part + 1) / parts_},
               task % products, first > 0, sums.data() + part * part_floats());
    });
  }
  const int64_t taps = transforms_.tile.taps_h * transforms_.tile.taps_w;
  parallel_for(g_.out_channels, [&](int64_t co) {
    for (int64_t kd = 0; kd < g_.kernel[0]; ++kd) {
      float* const row = sums.data() + (kd * g_.out_channels + co) * pitch_m_;
      for (int64_t part = 1; part < parts_; ++part)
        for (int64_t point = 0; point < points(); ++point) {
          float* const total = row + point * point_floats();
          const float* const more = total + part * part_floats();
          for (int64_t i = 0; i < pitch_m_; ++i) total[i] += more[i];
        }
      transforms_.gradient(row, point_floats(), g_.in_channels,
                           dw + (co * g_.kernel[0] + kd) * taps * g_.in_channels, g_.in_channels);
    }
  });
}

}  // namespace

std::unique_ptr<ConvProgram> prepare_winograd_weight(const ConvGeometry& g,
                                                     WinogradVariant variant) {
  return std::make_unique<WinogradWeight>(g, variant);
}

}  // namespace convkit::kernels
