#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_fft.h"
#include "convkit/kernels/conv_fft_filters.h"
#include "convkit/kernels/conv_fft_tiles.h"

// Backward-weight through Fourier transforms: dw is a correlation of dy with x, summed over all
// tiles while still transformed.
namespace convkit::kernels {
namespace {

// Spectra of a wave: in the last-level cache, and long enough that the sums, which are read and
// written once a wave, cost little.
constexpr int64_t kWaveFloats = int64_t{3} << 20;
constexpr int64_t kManyUnits = 8;
constexpr int64_t kProductTask = 64 * 1024;

class FftWeightGradient : public ConvProgram {
 public:
  FftWeightGradient(const ConvGeometry& g, const FftCut& cut)
      : problem_(fft_problem(g, Direction::backward_weight)),
        tiles_(problem_, cut),
        filters_(g, Direction::backward_weight, cut, tiles_.tile()),
        work_(cut.work) {
    const int64_t slot_floats = tiles_.tile().floats(channels(0, problem_.in_channels).vectors +
                                                     channels(0, problem_.out_channels).vectors);
    const int64_t most = std::clamp<int64_t>(kWaveFloats / slot_floats, 1, tiles_.slots());
    waves_ = ceil_div(tiles_.slots(), most);
  }

  ConvWork work() const override { return work_; }
  void run(const float* x, const float* dy, const ConvEpilogue&, float* dw) const override {
    const auto run_unit = [&](int64_t unit) {
      Buffer<float> sums(static_cast<std::size_t>(filters_.unit_floats()));
      // Lanes behind the last filter are transformed together with lanes that hold one.
      if (tiles_.kind() == FftLanes::tiles) std::fill_n(sums.data(), sums.size(), 0.0f);
      for (int64_t wave = 0; wave < waves_; ++wave)
        add_slots(unit, tiles_.slots() * wave / waves_, tiles_.slots() * (wave + 1) / waves_, x, dy,
                  sums.data());
      filters_.restore(unit, sums.data(), dw);
    };
    if (filters_.units() >= kManyUnits)
      parallel_for(filters_.units(), run_unit);
    else
      for (int64_t unit = 0; unit < filters_.units(); ++unit) run_unit(unit);
  }

 private:
  FftChannels channels(int64_t unit, int64_t of_group) const {
    if (tiles_.kind() == FftLanes::tiles) return {unit * of_group, of_group, of_group};
    if (tiles_.kind() == FftLanes::channels)
      return {unit * of_group, of_group, ceil_div(of_group, tiles_.lanes())};
    const int64_t first = unit * filters_.unit_channels();
    const int64_t count = std::min(filters_.unit_channels(), problem_.groups - first);
    return {first, count, ceil_div(count, tiles_.lanes())};
  }

  void add_slots(int64_t unit, int64_t begin, int64_t end, const float* x, const float* dy,
                 float* sums) const {
    const FftChannels in = channels(unit, problem_.in_channels);
    const FftChannels out = channels(unit, problem_.out_channels);
    FftProduct job;
    job.slots = end - begin;
    job.in_channels = in.count;
    job.out_channels = out.count;
    job.in_slot = tiles_.tile().slot_floats(in.vectors);
    job.in_vectors = in.vectors;
    job.out_slot = tiles_.tile().slot_floats(out.vectors);
    job.out_vectors = out.vectors;
    job.filter_step = filters_.step();
    job.accumulate = begin > 0;
    Buffer<float> in_spectra(static_cast<std::size_t>(job.slots * job.in_slot));
    Buffer<float> out_spectra(static_cast<std::size_t>(job.slots * job.out_slot));
    tiles_.transform(tiles_.in(), x, in, begin, job.slots, in_spectra.data());
    tiles_.transform(tiles_.out(), dy, out, begin, job.slots, out_spectra.data());
    job.in = in_spectra.data();
    job.out = out_spectra.data();
    const auto pairs = static_cast<int64_t>(filters_.pairs().size());
    const int64_t work =
        job.slots * 8 *
        (tiles_.kind() == FftLanes::depthwise ? in.vectors : in.count * out.vectors);
    parallel_ranges(pairs, std::max<int64_t>(1, kProductTask / work),
                    [&](int64_t from, int64_t end_pair) {
                      FftProduct part = job;
                      part.pairs = filters_.pairs().data() + from;
                      part.pair_count = end_pair - from;
                      part.filters = sums + from * filters_.step();
                      fft_product_kernels().gradient[static_cast<int>(tiles_.kind())](part);
                    });
  }

  FftProblem problem_;
  FftTiles tiles_;
  FftFilters filters_;
  ConvWork work_;
  int64_t waves_ = 1;
};

}  // namespace

std::unique_ptr<ConvProgram> prepare_fft_weight(const ConvGeometry& geometry, const FftCut& cut) {
  return std::make_unique<FftWeightGradient>(geometry, cut);
}

}  // namespace convkit::kernels
