#include "convkit/kernels/conv_fft.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_fft_filters.h"
#include "convkit/kernels/conv_fft_tiles.h"

namespace convkit::kernels {
namespace {

// Spectra of a wave that one thread works on alone, in its second-level cache.
constexpr int64_t kOwnWaveFloats = 224 * 1024;
// Spectra of a wave that all threads share, in the last-level cache.
constexpr int64_t kSharedWaveFloats = int64_t{3} << 20;
// From so many waves on, each is one task; unless the filters exceed this, which each wave reads
// from end to end.
constexpr int64_t kManyWaves = 12;
constexpr int64_t kOwnFilterFloats = int64_t{1} << 22;
// Multiply-adds of vectors in a task of products.
constexpr int64_t kProductTask = 64 * 1024;

// Forward, and backward-input, which is the same on another problem.
class FftConvolution : public ConvProgram {
 public:
  FftConvolution(const ConvGeometry& g, Direction direction, const FftCut& cut)
      : problem_(fft_problem(g, direction)),
        tiles_(problem_, cut),
        filters_(g, direction, cut, tiles_.tile()),
        work_(cut.work) {
    const int64_t slot_floats = tiles_.tile().slot_floats(vectors(in_count(0))) +
                                tiles_.tile().slot_floats(vectors(out_count(0)));
    const auto waves_of = [&](int64_t floats) {
      const int64_t most = std::clamp<int64_t>(floats / slot_floats, 1, tiles_.slots());
      return ceil_div(tiles_.slots(), most);
    };
    waves_ = waves_of(kOwnWaveFloats);
    if (filters_.units() * waves_ < kManyWaves || filters_.unit_floats() > kOwnFilterFloats) {
      shares_waves_ = true;
      waves_ = waves_of(kSharedWaveFloats);
    }
  }

  ConvWork work() const override { return work_; }
  int64_t packed_floats() const override { return filters_.units() * filters_.unit_floats(); }
  void pack(const float* weights, float* packed) const override {
    filters_.transform(weights, packed);
  }
  void run(const float* first, const float* packed, const ConvEpilogue& epilogue,
           float* out) const override {
    const auto run_wave = [&](int64_t wave) {
      run_slots(wave / waves_, slots(wave % waves_), slots(wave % waves_ + 1), first, packed,
                epilogue, out);
    };
    const int64_t count = filters_.units() * waves_;
    if (!shares_waves_)
      parallel_for(count, run_wave);
    else
      for (int64_t wave = 0; wave < count; ++wave) run_wave(wave);
  }

 private:
  int64_t slots(int64_t wave) const { return tiles_.slots() * wave / waves_; }
  int64_t in_count(int64_t unit) const { return channel_count(unit, problem_.in_channels); }
  int64_t out_count(int64_t unit) const { return channel_count(unit, problem_.out_channels); }
  int64_t channel_count(int64_t unit, int64_t of_group) const {
    if (tiles_.kind() != FftLanes::depthwise) return of_group;
    return std::min(filters_.unit_channels(), problem_.groups - unit * filters_.unit_channels());
  }
  int64_t vectors(int64_t channels) const {
    return tiles_.kind() == FftLanes::tiles ? channels : ceil_div(channels, tiles_.lanes());
  }
  FftChannels channels(int64_t unit, int64_t count, int64_t of_group) const {
    const int64_t first =
        unit * (tiles_.kind() == FftLanes::depthwise ? filters_.unit_channels() : of_group);
    return {first, count, vectors(count)};
  }

  void run_slots(int64_t unit, int64_t begin, int64_t end, const float* first, const float* packed,
                 const ConvEpilogue& epilogue, float* out) const;

  FftProblem problem_;
  FftTiles tiles_;
  FftFilters filters_;
  ConvWork work_;
  int64_t waves_ = 1;  // of a unit
  bool shares_waves_ = false;
};

void FftConvolution::run_slots(int64_t unit, int64_t begin, int64_t end, const float* first,
                               const float* packed, const ConvEpilogue& epilogue,
                               float* out) const {
  const FftChannels in = channels(unit, in_count(unit), problem_.in_channels);
  const FftChannels to = channels(unit, out_count(unit), problem_.out_channels);
  const bool in_place = tiles_.kind() == FftLanes::depthwise;
  FftProduct job;
  job.slots = end - begin;
  job.in_channels = in.count;
  job.out_channels = to.count;
  job.in_slot = tiles_.tile().slot_floats(in.vectors);
  job.in_vectors = in.vectors;
  job.out_slot = tiles_.tile().slot_floats(to.vectors);
  job.out_vectors = to.vectors;
  job.filter_step = filters_.step();
  Buffer<float> in_spectra(static_cast<std::size_t>(job.slots * job.in_slot));
  Buffer<float> out_spectra(static_cast<std::size_t>(in_place ? 0 : job.slots * job.out_slot));
  job.in = in_spectra.data();
  job.out = in_place ? in_spectra.data() : out_spectra.data();
  tiles_.transform(tiles_.in(), first, in, begin, job.slots, in_spectra.data());
  const auto pairs = static_cast<int64_t>(filters_.pairs().size());
  const int64_t work = job.slots * 8 * (in_place ? in.vectors : in.count * to.vectors);
  parallel_ranges(
      pairs, std::max<int64_t>(1, kProductTask / work), [&](int64_t from, int64_t end_pair) {
        FftProduct part = job;
        part.pairs = filters_.pairs().data() + from;
        part.pair_count = end_pair - from;
        // The product only reads them.
        part.filters =
            const_cast<float*>(packed) + unit * filters_.unit_floats() + from * filters_.step();
        fft_product_kernels().multiply[static_cast<int>(tiles_.kind())](part);
      });
  tiles_.restore(to, begin, job.slots, job.out, epilogue, out);
}

}  // namespace

std::string fft_why_not(const ConvGeometry& geometry, Direction direction) {
  // All positions between the wanted ones are transformed, and listed one by one before.
  constexpr int64_t kMostStride = 64;
  constexpr int64_t kMostDilation = 65536;
  for (int axis = 0; axis < kAxes; ++axis) {
    if (geometry.stride[axis] > kMostStride)
      return message("a stride of ", geometry.stride[axis], " leaves too little of a transform");
    if (geometry.kernel[axis] > 1 && geometry.dilation[axis] > kMostDilation)
      return message("a dilation of ", geometry.dilation[axis], " needs too many transforms");
  }
  if (fits_fft(fft_problem(geometry, direction))) return {};
  return message("a kernel of ", geometry.kernel[0], " × ", geometry.kernel[1], " × ",
                 geometry.kernel[2], " needs a transform of more than ", FftTile::kMostElements,
                 " points");
}

std::unique_ptr<ConvProgram> prepare_fft(const ConvGeometry& geometry, Direction direction) {
  return prepare_fft(geometry, direction,
                     best_fft_cut(fft_problem(geometry, direction), direction));
}

std::unique_ptr<ConvProgram> prepare_fft(const ConvGeometry& geometry, Direction direction,
                                         const FftCut& cut) {
  if (direction == Direction::backward_weight) return prepare_fft_weight(geometry, cut);
  return std::make_unique<FftConvolution>(geometry, direction, cut);
}

}  // namespace convkit::kernels
