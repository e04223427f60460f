#include "convkit/kernels/conv_chain.h"

#include <algorithm>
#include <cstring>

#include "convkit/base/checked.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/conv_direct.h"
#include "convkit/kernels/conv_grouped.h"

namespace convkit::kernels {
namespace {

constexpr int64_t kFloat = static_cast<int64_t>(sizeof(float));
// What a band's rows between the layers may take: less than half of a second-level cache of 1 MiB,
// where weights, input and output want to be as well.
constexpr int64_t kBandBytes = 384 * 1024;
// What lies between the layers is in the caches anyway if it is smaller.
constexpr int64_t kLeastBytes = 1024 * 1024;
// An output of more floats is in no core's own cache when it is written.
constexpr int64_t kNearFloats = int64_t{1} << 18;
// Each band reads all weights.
constexpr int64_t kMostWeightBytes = 512 * 1024;
// Tasks of a run that keep a few threads busy.
constexpr int64_t kWantedTasks = 8;
constexpr int64_t kFewestTasks = 4;
// A task has so many times more rows than it computes twice.
constexpr int64_t kRowsPerHalo = 7;

constexpr int kRowAxis = 1;

bool is_pointwise(const ConvGeometry& g) {
  for (int axis = 0; axis < kAxes; ++axis)
    if (g.kernel[axis] != 1 || g.stride[axis] != 1 || g.pad_lo[axis] != 0 || g.pad_hi[axis] != 0)
      return false;
  return g.groups == 1;
}

bool is_depthwise(const ConvGeometry& g) {
  return g.groups > 1 && g.groups == g.in_channels && g.groups == g.out_channels;
}

int64_t span(const ConvGeometry& g) { return (g.kernel[kRowAxis] - 1) * g.dilation[kRowAxis] + 1; }

// Floats of one row.
int64_t in_line(const ConvGeometry& g) { return g.in[2] * g.in_channels; }
int64_t out_line(const ConvGeometry& g) { return g.out[2] * g.out_channels; }

int64_t weight_bytes(std::span<const ConvGeometry> layers) {
  int64_t count = 0;
  for (const ConvGeometry& g : layers) count += weight_count(g);
  return count * kFloat;
}

// Bytes of all that lies between the layers.
int64_t bytes_between(std::span<const ConvGeometry> layers) {
  int64_t count = output_count(layers[layers.size() - 2]);
  if (layers.size() == 3) count += output_count(layers[0]);
  return count * kFloat;
}

// Rows that the borders of tasks cost, for each border.
int64_t halo(std::span<const ConvGeometry> layers) {
  const ConvGeometry& depthwise = layers[layers.size() - 2];
  return layers.size() < 3 ? 0
                           : std::max<int64_t>(0, ceil_div(span(depthwise) - depthwise.stride[1],
                                                           depthwise.stride[1]));
}

int64_t tasks_per_picture(std::span<const ConvGeometry> layers) {
  const int64_t rows = layers.back().out[kRowAxis];
  const int64_t most =
      std::max<int64_t>(1, rows / std::max<int64_t>(1, kRowsPerHalo * halo(layers)));
  return std::min(most, ceil_div(kWantedTasks, std::max<int64_t>(1, layers[0].batch)));
}

}  // namespace

std::string ConvChain::why_not(std::span<const ConvGeometry> layers) {
  if (layers.size() != 2 && layers.size() != 3) return "a chain has two or three layers";
  const ConvGeometry& depthwise = layers[layers.size() - 2];
  if (!is_depthwise(depthwise)) return "the last layer but one is not depthwise";
  if (!is_pointwise(layers.back()) || (layers.size() == 3 && !is_pointwise(layers[0])))
    return "a layer around it is not a dense 1×1 convolution";
  for (std::size_t i = 1; i < layers.size(); ++i)
    if (layers[i].in != layers[i - 1].out || layers[i].in_channels != layers[i - 1].out_channels ||
        layers[i].batch != layers[0].batch)
      return "a layer does not read what the one before writes";
  if (depthwise.in[0] != 1 || depthwise.out[0] != 1 || depthwise.kernel[0] != 1)
    return "bands are cut along the height of pictures: three axes have none";
  if (depthwise.pad_lo[kRowAxis] >= span(depthwise) ||
      (depthwise.out[kRowAxis] - 1) * depthwise.stride[kRowAxis] - depthwise.pad_lo[kRowAxis] >=
          depthwise.in[kRowAxis])
    return "some rows see nothing but padding";
  const int64_t between = bytes_between(layers);
  if (between < kLeastBytes)
    return message("what lies between the layers, ", between, " bytes, stays in the caches anyway");
  if (weight_bytes(layers) > kMostWeightBytes)
    return message("the weights, ", weight_bytes(layers),
                   " bytes, would be read once for each band");
  const int64_t tasks = depthwise.batch * tasks_per_picture(layers);
  if (tasks < kFewestTasks) return message("too few rows for more than ", tasks, " tasks");
  return {};
}

ConvChain::ConvChain(std::span<const ConvGeometry> layers)
    : layers_(layers.begin(), layers.end()), programs_(layers.size()) {
  const ConvGeometry& depthwise = layers_[size() - 2];
  const int64_t in_row = size() == 3 ? in_line(depthwise) * kFloat : 0;
  const int64_t row = depthwise.stride[kRowAxis] * in_row + out_line(depthwise) * kFloat;
  const int64_t fixed = std::max<int64_t>(0, span(depthwise) - depthwise.stride[kRowAxis]) * in_row;
  band_rows_ = std::max<int64_t>(1, (kBandBytes - fixed) / row);
  cut();
}

void ConvChain::cut() {
  const ConvGeometry& depthwise = layers_[size() - 2];
  const int64_t rows = layers_.back().out[kRowAxis];
  const int64_t count = tasks_per_picture(layers_);
  const int64_t stride = depthwise.stride[kRowAxis];
  for (int64_t t = 0; t < count; ++t) {
    std::vector<Band>& bands = tasks_.emplace_back();
    const int64_t begin = rows * t / count;
    const int64_t length = rows * (t + 1) / count - begin;
    const int64_t parts = ceil_div(length, band_rows_);
    int64_t window = 0;  // of the band before
    int64_t ready = 0;   // rows before this one have been computed
    for (int64_t part = 0; part < parts; ++part) {
      const int64_t first = begin + length * part / parts;
      const int64_t last = begin + length * (part + 1) / parts;
      Band band{.first = first};
      band.window = std::max<int64_t>(0, first * stride - depthwise.pad_lo[kRowAxis]);
      const int64_t end =
          std::min(depthwise.in[kRowAxis],
                   (last - 1) * stride - depthwise.pad_lo[kRowAxis] + span(depthwise));
      if (part > 0 && ready > band.window) {
        band.kept = ready - band.window;
        band.kept_from = band.window - window;
      }
      band.fresh = band.window + band.kept;
      window = band.window;
      if (size() == 3 && end > band.fresh) band.widen = pointwise_program(0, end - band.fresh);
      ready = std::max(end, band.fresh);
      band.depthwise = depthwise_program(first, last - first);
      band.narrow = pointwise_program(size() - 1, last - first);
      if (size() == 3)
        wide_floats_ = std::max(wide_floats_, (ready - band.window) * in_line(depthwise));
      filtered_floats_ = std::max(filtered_floats_, (last - first) * out_line(depthwise));
      bands.push_back(band);
    }
  }
}

const ConvProgram* ConvChain::pointwise_program(std::size_t layer, int64_t rows) {
  std::unique_ptr<ConvProgram>& program = programs_[layer][{rows}];
  if (program == nullptr) {
    ConvGeometry part = layers_[layer];
    part.batch = 1;
    part.in[kRowAxis] = part.out[kRowAxis] = rows;
    const bool is_last = layer == layers_.size() - 1;
    program = prepare_direct_part(part, is_last && output_count(layers_[layer]) > kNearFloats);
  }
  return program.get();
}

const ConvProgram* ConvChain::depthwise_program(int64_t first, int64_t rows) {
  const std::size_t layer = size() - 2;
  ConvGeometry part = layers_[layer];
  const int64_t begin = first * part.stride[kRowAxis] - part.pad_lo[kRowAxis];
  const int64_t end = begin + (rows - 1) * part.stride[kRowAxis] + span(part);
  const int64_t size = part.in[kRowAxis];
  part.batch = 1;
  part.in[kRowAxis] = std::min(end, size) - std::max<int64_t>(begin, 0);
  part.out[kRowAxis] = rows;
  part.pad_lo[kRowAxis] = std::max<int64_t>(0, -begin);
  part.pad_hi[kRowAxis] = std::max<int64_t>(0, end - size);
  std::unique_ptr<ConvProgram>& program =
      programs_[layer][{part.in[kRowAxis], rows, part.pad_lo[kRowAxis], part.pad_hi[kRowAxis]}];
  if (program == nullptr) program = prepare_grouped_part(part, /*from_afar=*/layers_.size() == 2);
  return program.get();
}

int64_t ConvChain::packed_floats(std::size_t layer) const {
  return programs_[layer].begin()->second->packed_floats();
}

void ConvChain::pack(std::size_t layer, const float* w, float* packed) const {
  programs_[layer].begin()->second->pack(w, packed);
}

void ConvChain::run(const float* x, std::span<const ChainLayer> layers, float* y) const {
  parallel_for(layers_[0].batch * std::ssize(tasks_),
               [&](int64_t task) { run_task(task, x, layers, y); });
}

void ConvChain::run_task(int64_t task, const float* x, std::span<const ChainLayer> layers,
                         float* y) const {
  const ConvGeometry& depthwise = layers_[size() - 2];
  const ConvGeometry& last = layers_.back();
  const int64_t picture = task / std::ssize(tasks_);
  const int64_t x_line = in_line(layers_[0]);
  const int64_t wide_line = in_line(depthwise);
  const int64_t y_line = out_line(last);
  const float* const from = x + picture * layers_[0].in[kRowAxis] * x_line;
  const int64_t y_picture = picture * last.out[kRowAxis] * y_line;
  Buffer<float> wide(static_cast<std::size_t>(wide_floats_));
  Buffer<float> filtered(static_cast<std::size_t>(filtered_floats_));
  for (const Band& band : tasks_[static_cast<std::size_t>(task % std::ssize(tasks_))]) {
    const float* window = from + band.window * x_line;
    if (size() == 3) {
      window = wide.data();
      if (band.kept > 0)
        std::memmove(wide.data(), wide.data() + band.kept_from * wide_line,
                     static_cast<std::size_t>(band.kept * wide_line) * sizeof(float));
      if (band.widen != nullptr)
        band.widen->run(from + band.fresh * x_line, layers[0].packed, layers[0].epilogue,
                        wide.data() + band.kept * wide_line);
    }
    const ChainLayer& filter = layers[size() - 2];
    band.depthwise->run(window, filter.packed, filter.epilogue, filtered.data());
    ConvEpilogue epilogue = layers.back().epilogue;
    const int64_t place = y_picture + band.first * y_line;
    if (epilogue.residual != nullptr) epilogue.residual += place;
    band.narrow->run(filtered.data(), layers.back().packed, epilogue, y + place);
  }
}

std::string ConvChain::reason() const {
  return message("bands of at most ", band_rows_, " rows in ",
                 layers_[0].batch * std::ssize(tasks_), " tasks: of the ",
                 bytes_between(layers_) / 1024, " KiB between the layers a core holds ",
                 (wide_floats_ + filtered_floats_) * kFloat / 1024, " KiB, in its cache");
}

}  // namespace convkit::kernels
