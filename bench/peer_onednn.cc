#include <omp.h>

#include <dnnl.hpp>
#include <memory>
#include <string>
#include <unordered_map>

#include "bench/peers.h"
#include "bench/random_values.h"

namespace convkit::bench {
namespace {

using dnnl::memory;
using kernels::ConvGeometry;
using kernels::Direction;
using Arguments = std::unordered_map<int, memory>;

dnnl::engine& engine() {
  static dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}

memory filled(const memory::desc& desc) {
  memory tensor(desc, engine());
  fill_random(static_cast<float*>(tensor.get_data_handle()),
              static_cast<int64_t>(desc.get_size() / sizeof(float)));
  return tensor;
}

// Where oneDNN has nothing but its reference implementation, a call of a large layer takes minutes.
void refuse_slow_reference(const dnnl::primitive_desc_base& chosen, const ConvGeometry& g) {
  constexpr int64_t kMostMacs = 1'000'000'000;
  if (std::string(chosen.impl_info_str()).starts_with("ref") && macs(g) > kMostMacs)
    throw dnnl::error(dnnl_unimplemented, "only the reference implementation");
}

Work runner(const dnnl::primitive& primitive, const Arguments& arguments) {
  return [primitive, arguments, stream = dnnl::stream(engine())]() mutable {
    primitive.execute(stream, arguments);
    stream.wait();
  };
}

Work build(const ConvGeometry& g, Direction direction) {
  const auto desc = [](const memory::dims& dims) {
    return memory::desc(dims, memory::data_type::f32, memory::format_tag::any);
  };
  const memory::desc x = desc({g.batch, g.in_channels, g.in[0], g.in[1], g.in[2]});
  const memory::desc y = desc({g.batch, g.out_channels, g.out[0], g.out[1], g.out[2]});
  const memory::desc w =
      g.groups == 1
          ? desc({g.out_channels, g.in_channels, g.kernel[0], g.kernel[1], g.kernel[2]})
          : desc({g.groups, g.group_out(), g.group_in(), g.kernel[0], g.kernel[1], g.kernel[2]});
  const memory::dims stride(g.stride.begin(), g.stride.end());
  const memory::dims dilation = {g.dilation[0] - 1, g.dilation[1] - 1, g.dilation[2] - 1};
  const memory::dims low(g.pad_lo.begin(), g.pad_lo.end());
  const memory::dims high(g.pad_hi.begin(), g.pad_hi.end());
  constexpr auto kDirect = dnnl::algorithm::convolution_direct;
  const dnnl::convolution_forward::primitive_desc forward(
      dnnl::convolution_forward::desc(dnnl::prop_kind::forward_training, kDirect, x, w, y, stride,
                                      dilation, low, high),
      engine());
  if (direction == Direction::forward) {
    refuse_slow_reference(forward, g);
    return runner(dnnl::convolution_forward(forward),
                  {{DNNL_ARG_SRC, filled(forward.src_desc())},
                   {DNNL_ARG_WEIGHTS, filled(forward.weights_desc())},
                   {DNNL_ARG_DST, filled(forward.dst_desc())}});
  }
  if (direction == Direction::backward_input) {
    const dnnl::convolution_backward_data::primitive_desc backward(
        dnnl::convolution_backward_data::desc(kDirect, x, w, y, stride, dilation, low, high),
        engine(), forward);
    refuse_slow_reference(backward, g);
    return runner(dnnl::convolution_backward_data(backward),
                  {{DNNL_ARG_DIFF_SRC, filled(backward.diff_src_desc())},
                   {DNNL_ARG_WEIGHTS, filled(backward.weights_desc())},
                   {DNNL_ARG_DIFF_DST, filled(backward.diff_dst_desc())}});
  }
  const dnnl::convolution_backward_weights::primitive_desc backward(
      dnnl::convolution_backward_weights::desc(kDirect, x, w, y, stride, dilation, low, high),
      engine(), forward);
  refuse_slow_reference(backward, g);
  return runner(dnnl::convolution_backward_weights(backward),
                {{DNNL_ARG_SRC, filled(backward.src_desc())},
                 {DNNL_ARG_DIFF_WEIGHTS, filled(backward.diff_weights_desc())},
                 {DNNL_ARG_DIFF_DST, filled(backward.diff_dst_desc())}});
}

}  // namespace

std::string onednn_version() {
  const dnnl_version_t& version = *dnnl_version();
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

std::vector<Work> onednn_convolution(const ConvGeometry& geometry, Direction direction,
                                     int threads) {
  omp_set_num_threads(threads);
  try {
    return {build(geometry, direction)};
  } catch (const dnnl::error&) {
    return {};
  }
}

}  // namespace convkit::bench
