#include "convkit/kernels/conv_fft_plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/kernels/conv_cost.h"

namespace convkit::kernels {
namespace {

// Lines along D and H of a volume lie far apart: measured, their transforms take up to this many
// times as long as those of a picture.
constexpr double kVolumes = 4.0;

// Moving an element between a tensor and a tile costs so many times more in lanes of tiles, which
// are turned, than in lanes of channels.
constexpr double kTurn = 4.4;
// Spectra of fewer floats stay in the second-level cache.
constexpr double kCachedFloats = 224.0 * 1024.0;
// Slots that share what is read of the filters; and when their filters at a frequency exceed so
// many floats, all slots of a wave of at most so many.
constexpr double kSlotsPerRead = 6.0;
constexpr double kFewFilterFloats = 64.0 * 1024.0;
constexpr double kWaveFloats = 3.0 * 1024.0 * 1024.0;
// Spectra of filters that exceed the last-level cache take longer to set up.
constexpr double kLastLevelFloats = 8.0 * 1024.0 * 1024.0;
constexpr double kFarPacking = 1.3;
// Sums over the lanes of two vectors, in multiply-adds.
constexpr double kLaneSum = 25.0;
// Setting up a vector of filters, in elements.
constexpr double kFilterElements = 350.0;

int64_t fine_count(const FftProblem& p, int axis) {
  return (p.out[axis] - 1) * p.out_step[axis] + 1;
}

// The longest row of fine outputs of one residue.
int64_t residue_count(const FftProblem& p, int axis) {
  return ceil_div(fine_count(p, axis), p.dilation[axis]);
}

int64_t next_length(int64_t least) {
  while (!is_fft_length(least)) ++least;
  return least;
}

// One extent that tiles may have on one axis.
struct Candidate {
  int64_t extent;
  double passes;
  double lines;  // transforms of lines, for each element
  double pieces;
  double used_out;     // shares of the extent that hold outputs,
  double used_kernel;  // taps
};

std::vector<int64_t> candidate_extents(const FftProblem& p, int axis) {
  const int64_t kernel = p.kernel[axis];
  if (kernel == 1) return {1};
  const int64_t whole = next_length(residue_count(p, axis) + kernel - 1);
  const int64_t least = std::min(whole, next_length(kernel + (kernel - 1) / 4));
  const int64_t most =
      std::min({whole, std::max<int64_t>(16 * kernel, 64), FftTile::kMostElements});
  std::vector<int64_t> lengths;
  for (int64_t power = 1; power <= most; power *= 2)
    for (const int64_t odd : {1, 3, 5, 9, 15})
      if (odd * power >= least && odd * power <= most) lengths.push_back(odd * power);
  if (whole <= most) lengths.push_back(whole);
  std::sort(lengths.begin(), lengths.end());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

std::vector<Candidate> candidates(const FftProblem& p, int axis) {
  const int64_t residues = std::max<int64_t>(1, std::min(fine_count(p, axis), p.dilation[axis]) /
                                                    std::gcd(p.dilation[axis], p.out_step[axis]));
  const int64_t outputs = residue_count(p, axis);
  std::vector<Candidate> found;
  for (const int64_t extent : candidate_extents(p, axis)) {
    const int64_t free = extent - p.kernel[axis] + 1;
    found.push_back({extent, static_cast<double>(FftTile::pass_count({1, 1, extent})),
                     FftTile::lines_per_element(extent),
                     static_cast<double>(residues * ceil_div(outputs, free)),
                     static_cast<double>(std::min(outputs, free)) / static_cast<double>(extent),
                     static_cast<double>(p.kernel[axis]) / static_cast<double>(extent)});
  }
  return found;
}

// What does not depend on the tile.
struct Amounts {
  Amounts(const FftProblem& p, Direction wanted, FftLanes lane_kind)
      : kind(lane_kind), direction(wanted), lanes(static_cast<double>(fft_kernels().lanes)) {
    const auto vectors = [&](int64_t channels) {
      return static_cast<double>(kind == FftLanes::tiles ? channels
                                                         : ceil_div(channels, fft_kernels().lanes));
    };
    const bool depthwise = kind == FftLanes::depthwise;
    units = depthwise ? 1.0 : static_cast<double>(p.groups);
    in = vectors(depthwise ? p.groups : p.in_channels);
    out = vectors(depthwise ? p.groups : p.out_channels);
    filters = depthwise                    ? in
              : kind == FftLanes::channels ? static_cast<double>(p.in_channels) * out
                                           : std::ceil(in * out / lanes);
    products = depthwise                    ? in
               : kind == FftLanes::channels ? static_cast<double>(p.in_channels) * out
                                            : in * out;
  }
  FftLanes kind;
  Direction direction;
  double lanes;
  double units;
  double in;  // vectors of a unit
  double out;
  double filters;
  double products;  // of vectors, at one frequency
};

// How often the spectra of the filters are read.
double filter_reads(const Amounts& amounts, double slots, double points) {
  if (amounts.direction == Direction::backward_weight ||
      amounts.filters * 2.0 * amounts.lanes <= kFewFilterFloats)
    return std::ceil(slots / kSlotsPerRead);
  return std::ceil(slots * (amounts.in + amounts.out) * points * 2.0 * amounts.lanes / kWaveFloats);
}

ConvWork count_work(const FftProblem& p, const Amounts& amounts, const Candidate& d,
                    const Candidate& h, const Candidate& w) {
  const bool of_tiles = amounts.kind == FftLanes::tiles;
  const double pairs =
      static_cast<double>(p.batch) * std::ceil(d.pieces * h.pieces * w.pieces / 2.0);
  const double slots = of_tiles ? std::ceil(pairs / amounts.lanes) : pairs;
  const auto points = static_cast<double>(d.extent * h.extent * w.extent);
  // Passes, and lines, of a transform whose lines hold values in these shares of d and h only.
  const auto passes = [&](double share_d, double share_h) {
    return w.passes * share_d * share_h + h.passes * share_d + d.passes;
  };
  const auto lines = [&](double share_d, double share_h) {
    return w.lines * share_d * share_h + h.lines * share_d + d.lines;
  };
  const double in = slots * amounts.in * points;
  const double out = slots * amounts.out * points;
  ConvWork work;
  work.products = slots * amounts.products * points * 4.0;
  work.transforms = in * passes(1.0, 1.0) + out * passes(d.used_out, h.used_out);
  work.calls = in * lines(1.0, 1.0) + out * lines(d.used_out, h.used_out);
  work.tensors = (in + out) * (of_tiles ? kTurn : 1.0);
  // Cache lines: an element is two (of 16 lanes), once written and once read.
  if ((amounts.in + amounts.out) * points * 2.0 * amounts.lanes >= kCachedFloats)
    work.weights = (in + out) * 4.0;
  work.weights += amounts.filters * points * filter_reads(amounts, slots, points);
  const double filters = std::ceil(amounts.filters / 2.0);
  const double filter_work =
      filters * (points * (passes(d.used_kernel, h.used_kernel) + 8.0) + kFilterElements);
  if (amounts.direction == Direction::backward_weight) {
    work.transforms += filter_work;
    if (of_tiles) work.products += amounts.products * points / 2.0 * kLaneSum;
  } else {
    const bool far = amounts.filters * points * amounts.lanes > kLastLevelFloats;
    work.packing = filter_work * (far ? kFarPacking : 1.0);
  }
  if (d.extent > 1 && h.extent > 1 && w.extent > 1) work.transforms *= kVolumes;
  for (double* const kind :
       {&work.products, &work.transforms, &work.calls, &work.tensors, &work.weights, &work.packing})
    *kind *= amounts.units;
  return work;
}

}  // namespace

FftProblem fft_problem(const ConvGeometry& g, Direction direction) {
  FftProblem p = {g.batch, g.groups, g.group_in(), g.group_out(), g.in,    {1, 1, 1},
                  g.out,   g.stride, g.kernel,     g.dilation,    g.pad_lo};
  if (direction == Direction::backward_input) {
    std::swap(p.in_channels, p.out_channels);
    std::swap(p.in, p.out);
    std::swap(p.in_step, p.out_step);
    for (int axis = 0; axis < kAxes; ++axis)
      p.pad_lo[axis] = g.dilation[axis] * (g.kernel[axis] - 1) - g.pad_lo[axis];
  }
  // The dilation of a single tap means nothing: this one visits the wanted outputs alone.
  for (int axis = 0; axis < kAxes; ++axis)
    if (p.kernel[axis] == 1) p.dilation[axis] = p.out_step[axis];
  return p;
}

std::vector<FftPiece> fft_pieces(const FftProblem& p, int axis, int64_t extent) {
  const int64_t fine = fine_count(p, axis);
  const int64_t most = extent - p.kernel[axis] + 1;
  std::vector<FftPiece> pieces;
  for (int64_t residue = 0; residue < std::min(p.dilation[axis], fine); ++residue) {
    const int64_t count = ceil_div(fine - residue, p.dilation[axis]);
    for (int64_t i = 0; i < count; i += most) {
      const FftPiece piece = {residue + i * p.dilation[axis], std::min(most, count - i)};
      if (lattice_run(piece.first, p.dilation[axis], p.out_step[axis], p.out[axis], piece.count)
              .count > 0)
        pieces.push_back(piece);
    }
  }
  return pieces;
}

LatticeRun lattice_run(int64_t first, int64_t dilation, int64_t step, int64_t extent,
                       int64_t places) {
  const int64_t common = std::gcd(dilation, step);
  LatticeRun run{.place_step = step / common, .index_step = dilation / common};
  // The first place on the tensor's lattice, then the first within the tensor.
  while (run.place < run.place_step && (first + run.place * dilation) % step != 0) ++run.place;
  if (run.place == run.place_step) return run;
  const int64_t before = -(first + run.place * dilation);
  if (before > 0) run.place += ceil_div(before, dilation * run.place_step) * run.place_step;
  run.index = (first + run.place * dilation) / step;
  if (run.place >= places || run.index >= extent) return run;
  run.count = std::min(ceil_div(places - run.place, run.place_step),
                       ceil_div(extent - run.index, run.index_step));
  return run;
}

bool fits_fft(const FftProblem& p) {
  int64_t points = 1;
  for (int axis = 0; axis < kAxes; ++axis) {
    if (p.kernel[axis] > FftTile::kMostElements) return false;
    const std::vector<int64_t> extents = candidate_extents(p, axis);
    if (extents.empty()) return false;
    points *= extents.front();
    if (points > FftTile::kMostElements) return false;
  }
  return true;
}

FftCut best_fft_cut(const FftProblem& p, Direction direction) {
  std::vector<FftLanes> kinds = {FftLanes::channels, FftLanes::tiles};
  if (p.in_channels == 1 && p.out_channels == 1 && p.groups > 1)
    kinds = {FftLanes::depthwise, FftLanes::tiles};
  const std::vector<Candidate> depths = candidates(p, 0);
  const std::vector<Candidate> heights = candidates(p, 1);
  const std::vector<Candidate> widths = candidates(p, 2);
  const ConvCosts& costs = *conv_costs("fft", direction);
  FftCut best;
  double least = 0.0;
  bool found = false;
  for (const FftLanes kind : kinds) {
    const Amounts amounts(p, direction, kind);
    for (const Candidate& d : depths)
      for (const Candidate& h : heights) {
        if (d.extent * h.extent > FftTile::kMostElements) continue;
        for (const Candidate& w : widths) {
          if (d.extent * h.extent * w.extent > FftTile::kMostElements) continue;
          const ConvWork work = count_work(p, amounts, d, h, w);
          const double seconds = costs.seconds(work, true);
          if (found && seconds >= least) continue;
          least = seconds;
          best = {kind, {d.extent, h.extent, w.extent}, work};
          found = true;
        }
      }
  }
  CONVKIT_CHECK(found, ValueError, "fft: no transform is large enough for this kernel");
  return best;
}

}  // namespace convkit::kernels
