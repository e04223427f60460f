#include "convkit/kernels/conv_fft_tiles.h"

#include <algorithm>

#include "convkit/base/checked.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"

namespace convkit::kernels {
namespace {

// Floats of a lane that are turned at a time; all lanes of them stay in the first-level cache.
constexpr int64_t kTurnDepth = 256;
// Floats of all lanes that a task turns at least.
constexpr int64_t kTaskFloats = 32 * 1024;

int64_t position(const Extents& extent, int64_t picture, int64_t d, int64_t h, int64_t w) {
  return ((picture * extent[0] + d) * extent[1] + h) * extent[2] + w;
}

// How many steps reach `distance`, rounded up; nearly all steps are 1, and a division is slow.
int64_t steps(int64_t distance, int64_t step) {
  return step == 1 ? distance : ceil_div(distance, step);
}

// The index that `place` meets, or −1.
int64_t index_at(const LatticeRun& run, int64_t place) {
  if (place < run.place) return -1;
  const int64_t i = steps(place - run.place, run.place_step);
  if (i >= run.count || run.place + i * run.place_step != place) return -1;
  return run.index + i * run.index_step;
}

// The part of a run whose places lie in [begin, end).
LatticeRun within(const LatticeRun& run, int64_t begin, int64_t end) {
  LatticeRun part = run;
  if (begin > run.place) {
    const int64_t skipped = std::min(run.count, steps(begin - run.place, run.place_step));
    part.place += skipped * run.place_step;
    part.index += skipped * run.index_step;
    part.count -= skipped;
  }
  part.count = std::clamp<int64_t>(steps(end - part.place, run.place_step), 0, part.count);
  return part;
}

}  // namespace

FftTiles::FftTiles(const FftProblem& p, const FftCut& cut)
    : tile_(cut.tile),
      kind_(cut.lanes),
      kernels_(fft_kernels()),
      moves_(fft_moves()),
      in_{p.in, p.in_step, p.pad_lo, {}, p.groups * p.in_channels},
      out_{p.out, p.out_step, {0, 0, 0}, {0, 0, 0}, p.groups * p.out_channels},
      dilation_(p.dilation) {
  tiles_ = 1;
  for (int axis = 0; axis < kAxes; ++axis) {
    in_.halo[axis] = p.kernel[axis] - 1;
    pieces_[axis] = fft_pieces(p, axis, cut.tile[axis]);
    tiles_ *= static_cast<int64_t>(pieces_[axis].size());
    for (const FftPiece& piece : pieces_[axis])
      longest_[axis] = std::max(longest_[axis], piece.count);
  }
  pairs_ = p.batch * ceil_div(tiles_, 2);
  if (kind_ == FftLanes::tiles) slot_pairs_ = moves_.lanes;
}

Extents FftTiles::used(const FftTensor& side) const {
  Extents places;
  for (int axis = 0; axis < kAxes; ++axis) places[axis] = longest_[axis] + side.halo[axis];
  return places;
}

FftTiles::Place FftTiles::place(const FftTensor& side, int64_t pair, int64_t part) const {
  Place found;
  const int64_t picture_pairs = ceil_div(tiles_, 2);
  int64_t tile = pair % picture_pairs * 2 + part;
  if (pair >= pairs_ || tile >= tiles_) return found;
  found.picture = pair / picture_pairs;
  for (int axis = kAxes - 1; axis >= 0; --axis) {
    const auto pieces = static_cast<int64_t>(pieces_[axis].size());
    const FftPiece& piece = pieces_[axis][static_cast<std::size_t>(tile % pieces)];
    tile /= pieces;
    found.axes[axis] = lattice_run(piece.first - side.pad[axis], dilation_[axis], side.step[axis],
                                   side.extent[axis], piece.count + side.halo[axis]);
  }
  return found;
}

std::vector<FftTiles::Place> FftTiles::slot_places(const FftTensor& side, int64_t slot) const {
  std::vector<Place> places;
  for (const int64_t part : {0, 1})
    for (int64_t i = 0; i < slot_pairs_; ++i)
      places.push_back(place(side, slot * slot_pairs_ + i, part));
  return places;
}

void FftTiles::transform(const FftTensor& side, const float* tensor, FftChannels channels,
                         int64_t first, int64_t count, float* spectra) const {
  const int64_t slot_floats = tile_.slot_floats(channels.vectors);
  const Extents places = used(side);
  if (kind_ == FftLanes::tiles)
    for_lines(count, channels, [&](int64_t slot, int64_t begin, int64_t end) {
      load_lines(side, tensor, channels, begin, end, first + slot, spectra + slot * slot_floats);
    });
  parallel_for(count * channels.vectors, [&](int64_t task) {
    const int64_t slot = task / channels.vectors;
    const int64_t vector = task % channels.vectors;
    float* const to = spectra + slot * slot_floats;
    if (kind_ != FftLanes::tiles) load_channels(side, tensor, channels, vector, first + slot, to);
    Buffer<float> scratch(static_cast<std::size_t>(tile_.scratch_floats()));
    tile_.forward(to, channels.vectors, vector, places, scratch.data());
  });
}

void FftTiles::restore(FftChannels channels, int64_t first, int64_t count, float* spectra,
                       const ConvEpilogue& epilogue, float* output) const {
  const int64_t slot_floats = tile_.slot_floats(channels.vectors);
  const Extents places = used(out_);
  parallel_for(count * channels.vectors, [&](int64_t task) {
    const int64_t slot = task / channels.vectors;
    const int64_t vector = task % channels.vectors;
    float* const from = spectra + slot * slot_floats;
    Buffer<float> scratch(static_cast<std::size_t>(tile_.scratch_floats()));
    tile_.inverse(from, channels.vectors, vector, places, scratch.data());
    if (kind_ != FftLanes::tiles)
      store_channels(channels, vector, first + slot, from, epilogue, output);
  });
  if (kind_ == FftLanes::tiles)
    for_lines(count, channels, [&](int64_t slot, int64_t begin, int64_t end) {
      store_lines(channels, begin, end, first + slot, spectra + slot * slot_floats, epilogue,
                  output);
    });
}

void FftTiles::load_channels(const FftTensor& side, const float* tensor, FftChannels channels,
                             int64_t vector, int64_t slot, float* to) const {
  const int64_t element = channels.vectors * 2 * lanes();
  to += vector * 2 * lanes();
  const int64_t count = std::min(lanes(), channels.count - vector * lanes());
  const Extents& extents = tile_.extents();
  const Place places[2] = {place(side, slot, 0), place(side, slot, 1)};
  bool covered = true;
  for (const Place& at : places)
    for (int axis = 0; axis < kAxes; ++axis)
      covered = covered && at.axes[axis].count == extents[axis];
  if (!covered)
    for (int64_t d = 0; d < extents[0]; ++d)
      for (int64_t h = 0; h < extents[1]; ++h)
        for (int64_t w = 0; w < extents[2]; ++w)
          std::fill_n(
              to + (tile_.element(0, d) + tile_.element(1, h) + tile_.element(2, w)) * element,
              2 * lanes(), 0.0f);
  for (int64_t part = 0; part < 2; ++part) {
    const auto& [picture, axes] = places[part];
    const float* const from = tensor + channels.first + vector * lanes();
    for (int64_t d = 0; d < axes[0].count; ++d)
      for (int64_t h = 0; h < axes[1].count; ++h) {
        const int64_t line = tile_.element(0, axes[0].place + d * axes[0].place_step) +
                             tile_.element(1, axes[1].place + h * axes[1].place_step);
        const int64_t row = position(side.extent, picture, axes[0].index + d * axes[0].index_step,
                                     axes[1].index + h * axes[1].index_step, 0);
        for (int64_t begin = 0; begin < extents[2]; begin += tile_.run_length()) {
          const LatticeRun run = within(axes[2], begin, begin + tile_.run_length());
          if (run.count == 0) continue;
          moves_.load(from + (row + run.index) * side.channels, run.index_step * side.channels,
                      run.count, count,
                      to + (line + tile_.element(2, run.place)) * element + part * lanes(),
                      run.place_step * element);
        }
      }
  }
}

namespace {

void finish(const FftStore& stored, const ConvEpilogue& epilogue) {
  if (epilogue.function == nullptr) return;
  for (int64_t row = 0; row < stored.rows; ++row)
    epilogue.finish(stored.to + row * stored.to_step, stored.channels);
}

}  // namespace

void FftTiles::store_channels(FftChannels channels, int64_t vector, int64_t slot, const float* from,
                              const ConvEpilogue& epilogue, float* output) const {
  const int64_t element = channels.vectors * 2 * lanes();
  const int64_t first = channels.first + vector * lanes();
  FftStore job;
  job.channels = std::min(lanes(), channels.count - vector * lanes());
  job.bias = epilogue.bias != nullptr ? epilogue.bias + first : nullptr;
  job.clamps = epilogue.clamps();
  job.low = epilogue.low;
  job.high = epilogue.high;
  from += vector * 2 * lanes();
  for (int64_t part = 0; part < 2; ++part) {
    const Place at = place(out_, slot, part);
    const auto& axes = at.axes;
    for (int64_t d = 0; d < axes[0].count; ++d)
      for (int64_t h = 0; h < axes[1].count; ++h) {
        const int64_t line = tile_.element(0, axes[0].place + d * axes[0].place_step) +
                             tile_.element(1, axes[1].place + h * axes[1].place_step);
        const int64_t row =
            position(out_.extent, at.picture, axes[0].index + d * axes[0].index_step,
                     axes[1].index + h * axes[1].index_step, 0);
        for (int64_t begin = 0; begin < tile_.extents()[2]; begin += tile_.run_length()) {
          const LatticeRun run = within(axes[2], begin, begin + tile_.run_length());
          if (run.count == 0) continue;
          const int64_t to = (row + run.index) * out_.channels + first;
          job.rows = run.count;
          job.from = from + (line + tile_.element(2, run.place)) * element + part * lanes();
          job.from_step = run.place_step * element;
          job.to = output + to;
          job.to_step = run.index_step * out_.channels;
          job.residual = epilogue.residual != nullptr ? epilogue.residual + to : nullptr;
          moves_.store(job);
          finish(job, epilogue);
        }
      }
  }
}

int64_t FftTiles::lines() const {
  const Extents& extents = tile_.extents();
  return extents[0] * extents[1] * (extents[2] / tile_.run_length());
}

FftTiles::Line FftTiles::line(int64_t index) const {
  const int64_t runs = tile_.extents()[2] / tile_.run_length();
  Line found = {index / runs / tile_.extents()[1], index / runs % tile_.extents()[1],
                index % runs * tile_.run_length(), 0};
  found.element = tile_.element(0, found.d) + tile_.element(1, found.h) + tile_.element(2, found.w);
  return found;
}

// Calls body(slot, begin, end) for lines of every slot, on several threads.
template <class Body>
void FftTiles::for_lines(int64_t slots, FftChannels channels, const Body& body) const {
  const int64_t grain =
      std::max<int64_t>(1, kTaskFloats / (2 * lanes() * channels.count * tile_.run_length()));
  const int64_t parts = ceil_div(lines(), grain);
  parallel_for(slots * parts, [&](int64_t task) {
    const int64_t begin = task % parts * grain;
    body(task / parts, begin, std::min(lines(), begin + grain));
  });
}

int64_t FftTiles::line_chunk(FftChannels channels) const {
  return std::clamp<int64_t>(kTurnDepth / channels.count, 1, tile_.run_length());
}

void FftTiles::load_lines(const FftTensor& side, const float* tensor, FftChannels channels,
                          int64_t begin, int64_t end, int64_t slot, float* to) const {
  const int64_t chunk = line_chunk(channels);
  const int64_t row_floats = chunk * channels.count;
  Buffer<float> copies(static_cast<std::size_t>((lanes() + 1) * row_floats));
  float* const zeros = copies.data() + lanes() * row_floats;
  std::fill_n(zeros, row_floats, 0.0f);
  std::vector<const float*> rows(static_cast<std::size_t>(lanes()));
  const std::vector<Place> places = slot_places(side, slot);
  std::vector<const float*> sources(places.size());
  for (int64_t i = begin; i < end; ++i) {
    const Line at = line(i);
    // Each tile's tensor row of W = 0; null: zeros.
    std::fill(sources.begin(), sources.end(), nullptr);
    for (std::size_t t = 0; t < places.size(); ++t) {
      const int64_t d = index_at(places[t].axes[0], at.d);
      const int64_t h = index_at(places[t].axes[1], at.h);
      if (d >= 0 && h >= 0)
        sources[t] = tensor + channels.first +
                     position(side.extent, places[t].picture, d, h, 0) * side.channels;
    }
    for (int64_t w = 0; w < tile_.run_length(); w += chunk) {
      const int64_t count = std::min(chunk, tile_.run_length() - w);
      for (int64_t part = 0; part < 2; ++part) {
        for (int64_t lane = 0; lane < lanes(); ++lane) {
          const auto tile = static_cast<std::size_t>(part * lanes() + lane);
          const float*& row = rows[static_cast<std::size_t>(lane)];
          row = zeros;
          if (sources[tile] == nullptr) continue;
          const LatticeRun run = within(places[tile].axes[2], at.w + w, at.w + w + count);
          if (run.count == 0) continue;
          const float* const from = sources[tile] + run.index * side.channels;
          if (run.count == count && run.index_step == 1 && channels.count == side.channels) {
            row = from;
            continue;
          }
          float* const copy = copies.data() + lane * row_floats;
          row = copy;
          if (run.count < count) std::fill_n(copy, row_floats, 0.0f);
          for (int64_t k = 0; k < run.count; ++k)
            std::copy_n(from + k * run.index_step * side.channels, channels.count,
                        copy + (run.place - at.w - w + k * run.place_step) * channels.count);
        }
        moves_.gather_lanes(rows.data(), count * channels.count,
                            to + (at.element + w) * channels.count * 2 * lanes() + part * lanes(),
                            2 * lanes());
      }
    }
  }
}

void FftTiles::store_lines(FftChannels channels, int64_t begin, int64_t end, int64_t slot,
                           const float* from, const ConvEpilogue& epilogue, float* output) const {
  const int64_t chunk = line_chunk(channels);
  const int64_t row_floats = chunk * channels.count;
  Buffer<float> turned(static_cast<std::size_t>((lanes() + 1) * row_floats));
  // One bias for each float of a row.
  float* const biases = turned.data() + lanes() * row_floats;
  for (int64_t i = 0; epilogue.bias != nullptr && i < chunk; ++i)
    std::copy_n(epilogue.bias + channels.first, channels.count, biases + i * channels.count);
  FftStore job;
  job.bias = epilogue.bias != nullptr ? biases : nullptr;
  job.clamps = epilogue.clamps();
  job.low = epilogue.low;
  job.high = epilogue.high;
  const bool dense = channels.count == out_.channels;
  const std::vector<Place> places = slot_places(out_, slot);
  for (int64_t i = begin; i < end; ++i) {
    const Line at = line(i);
    if (at.d >= longest_[0] || at.h >= longest_[1]) continue;
    const int64_t end_w = std::min(tile_.run_length(), longest_[2] - at.w);
    for (int64_t w = 0; w < end_w; w += chunk) {
      const int64_t count = std::min(chunk, end_w - w);
      for (int64_t part = 0; part < 2; ++part) {
        moves_.scatter_lanes(
            from + (at.element + w) * channels.count * 2 * lanes() + part * lanes(), 2 * lanes(),
            count * channels.count, turned.data(), row_floats);
        for (int64_t lane = 0; lane < lanes(); ++lane) {
          const Place& tile = places[static_cast<std::size_t>(part * lanes() + lane)];
          const int64_t d = index_at(tile.axes[0], at.d);
          const int64_t h = index_at(tile.axes[1], at.h);
          const LatticeRun run = within(tile.axes[2], at.w + w, at.w + w + count);
          if (d < 0 || h < 0 || run.count == 0) continue;
          const int64_t to =
              position(out_.extent, tile.picture, d, h, run.index) * out_.channels + channels.first;
          job.from = turned.data() + lane * row_floats + (run.place - at.w - w) * channels.count;
          job.to = output + to;
          job.residual = epilogue.residual != nullptr ? epilogue.residual + to : nullptr;
          const bool joined = dense && run.index_step == 1 && run.place_step == 1;
          job.rows = joined ? 1 : run.count;
          job.channels = joined ? run.count * channels.count : channels.count;
          job.from_step = run.place_step * channels.count;
          job.to_step = run.index_step * out_.channels;
          moves_.store(job);
          finish(job, epilogue);
        }
      }
    }
  }
}

}  // namespace convkit::kernels
