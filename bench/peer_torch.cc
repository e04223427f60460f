#include <torch/torch.h>

#include <string>

#include "bench/peers.h"
#include "bench/random_values.h"
#include "convkit/base/conv_size.h"

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::Direction;

std::vector<int64_t> last_axes(const kernels::Extents& extents, int rank) {
  return {extents.end() - rank, extents.end()};
}

std::vector<int64_t> with_channels(int64_t n, int64_t c, const kernels::Extents& extents,
                                   int rank) {
  std::vector<int64_t> shape = last_axes(extents, rank);
  shape.insert(shape.begin(), {n, c});
  return shape;
}

// Of one rank, so that libtorch sees a Conv1d where convkit's user would write one.
int rank_of(const ConvGeometry& g) {
  if (g.in[0] > 1 || g.kernel[0] > 1) return 3;
  return g.in[1] > 1 || g.kernel[1] > 1 ? 2 : 1;
}

torch::Tensor random_tensor(const std::vector<int64_t>& shape) {
  torch::Tensor tensor = torch::empty(shape);
  fill_random(tensor.data_ptr<float>(), tensor.numel());
  return tensor;
}

Work way(const ConvGeometry& g, Direction direction, bool channels_last) {
  const int rank = rank_of(g);
  torch::Tensor x = random_tensor(with_channels(g.batch, g.in_channels, g.in, rank));
  torch::Tensor w = random_tensor(with_channels(g.out_channels, g.group_in(), g.kernel, rank));
  torch::Tensor y = random_tensor(with_channels(g.batch, g.out_channels, g.out, rank));
  if (channels_last)
    for (torch::Tensor* tensor : {&x, &w, &y})
      *tensor = tensor->contiguous(rank == 2 ? torch::MemoryFormat::ChannelsLast
                                             : torch::MemoryFormat::ChannelsLast3d);
  const auto stride = last_axes(g.stride, rank);
  const auto padding = last_axes(g.pad_lo, rank);
  const auto dilation = last_axes(g.dilation, rank);
  const int64_t groups = g.groups;
  if (direction == Direction::forward)
    return [=] {
      const torch::NoGradGuard no_grad;
      torch::convolution(x, w, {}, stride, padding, dilation, false, {0}, groups);
    };
  const bool wants_input = direction == Direction::backward_input;
  return [=] {
    const torch::NoGradGuard no_grad;
    torch::convolution_backward(y, x, w, c10::nullopt, stride, padding, dilation, false, {0},
                                groups, {wants_input, !wants_input, false});
  };
}

}  // namespace

std::string torch_version() { return TORCH_VERSION; }

std::vector<Work> torch_convolution(const ConvGeometry& geometry, Direction direction,
                                    int threads) {
  torch::set_num_threads(threads);
  // libtorch pads both ends alike, which is the same wherever it gives as many outputs.
  for (int axis = 0; axis < 3; ++axis)
    if (conv_output_size(geometry.in[axis], geometry.kernel[axis], geometry.stride[axis],
                         geometry.pad_lo[axis], geometry.pad_lo[axis],
                         geometry.dilation[axis]) != geometry.out[axis])
      return {};
  std::vector<Work> ways = {way(geometry, direction, false)};
  if (rank_of(geometry) > 1) ways.push_back(way(geometry, direction, true));
  return ways;
}

}  // namespace convkit::bench
