#include <algorithm>

#include "convkit/base/conv_size.h"
#include "convkit/graph/lower.h"
#include "convkit/ops/adaptive_pool.h"
#include "convkit/ops/conv.h"
#include "convkit/ops/pad.h"
#include "convkit/ops/pool.h"

namespace convkit::graph {
namespace {

using List = std::vector<int64_t>;

template <int Rank>
List list_of(const Extents<Rank>& extents) {
  return {extents.values.begin(), extents.values.end()};
}

// The extent of a spatial axis before and after; windows cannot follow a batch there.
struct Axis {
  int64_t in;
  int64_t out;
};
Axis axis_of(const Lowering& l, std::size_t axis) {
  const auto at = static_cast<int64_t>(axis) + 2;
  if (l.inputs[0].shape[at] != l.inputs[0].other_shape[at])
    throw Refusal{"the extents that its windows slide along depend on the batch"};
  return {l.inputs[0].shape[at], l.result.shape[at]};
}

Attributes pool_attributes(List kernel, List strides, List pads) {
  return Attributes{{"auto_pad", std::string("NOTSET")},
                    {"ceil_mode", int64_t{0}},
                    {"dilations", List{}},
                    {"kernel_shape", std::move(kernel)},
                    {"pads", std::move(pads)},
                    {"strides", std::move(strides)}};
}

ValueId max_pool_node(Lowering& l, ValueId x, Attributes attributes) {
  attributes.set("storage_order", int64_t{0});
  return l.node(Op::max_pool, {x}, std::move(attributes));
}

ValueId avg_pool_node(Lowering& l, ValueId x, Attributes attributes, bool counts_padding) {
  attributes.set("count_include_pad", int64_t{counts_padding ? 1 : 0});
  return l.node(Op::average_pool, {x}, std::move(attributes));
}

// Pads before and after each axis, in ONNX's order. In ceil_mode those after it are as long as the
// last window needs, so that the sizes follow whatever a reader takes ceil_mode to mean.
template <int Rank>
List pads_of(const Lowering& l, const Extents<Rank>& kernel, const Extents<Rank>& stride,
             const Extents<Rank>& padding, const Extents<Rank>& dilation) {
  List pads(2 * Rank);
  for (std::size_t a = 0; a < Rank; ++a) {
    const Axis axis = axis_of(l, a);
    const int64_t span = kernel_span(kernel[a], dilation[a]);
    pads[a] = padding[a];
    pads[a + Rank] = std::max(padding[a], (axis.out - 1) * stride[a] + span - axis.in - padding[a]);
  }
  return pads;
}

template <int Rank>
bool goes_beyond(const List& pads, const Extents<Rank>& padding) {
  for (std::size_t a = 0; a < Rank; ++a)
    if (pads[a + Rank] != padding[a]) return true;
  return false;
}

// What output o of an adaptive pool sees.
struct Window {
  int64_t begin;
  int64_t end;
};
Window window_of(const Axis& axis, int64_t o) {
  return {o * axis.in / axis.out, ((o + 1) * axis.in + axis.out - 1) / axis.out};
}

// Row o of the matrix takes the mean of what output o sees: (out, in), or transposed.
Tensor mean_matrix(const Axis& axis, bool transposed, DType dtype) {
  std::vector<double> elements(static_cast<std::size_t>(axis.in * axis.out), 0.0);
  for (int64_t o = 0; o < axis.out; ++o) {
    const auto [begin, end] = window_of(axis, o);
    for (int64_t i = begin; i < end; ++i)
      elements[static_cast<std::size_t>(transposed ? i * axis.out + o : o * axis.in + i)] =
          1.0 / static_cast<double>(end - begin);
  }
  const Shape shape = transposed ? Shape{axis.in, axis.out} : Shape{axis.out, axis.in};
  return from_values(elements, shape).to(dtype);
}

const char* axis_name(int64_t rank, int64_t axis) {
  constexpr const char* kNames[] = {"d", "h", "w"};
  return kNames[axis + 3 - rank];
}

// Means over windows of unlike sizes, axis by axis: the last axis from the right, the one before it
// from the left, and the depth from the left once height and width are one axis.
ValueId means_by_matrices(Lowering& l) {
  const int64_t rank = l.rank();
  std::vector<int64_t> axes;
  for (int64_t a = rank; a-- > 0;) {
    const Axis axis = axis_of(l, static_cast<std::size_t>(a));
    if (axis.in != axis.out) axes.push_back(a);
  }
  const Attributes zero_copies{{"allowzero", AttributeValue(int64_t{0})}};
  ValueId x = l.input(0);
  for (const int64_t a : axes) {
    const std::string name = axis_name(rank, a);
    const bool from_right = a == rank - 1;
    const Tensor means =
        mean_matrix(axis_of(l, static_cast<std::size_t>(a)), from_right, l.inputs[0].dtype);
    const ValueId matrix = l.constant("mean_" + name, means);
    if (rank == 3 && a == 0) {
      const Shape& out = l.result.shape;
      x = l.before("planes", Op::reshape, {x, l.list("planes_shape", {0, 0, 0, -1})}, zero_copies);
      x = l.before("over_" + name, Op::matmul, {matrix, x});
      return l.node(Op::reshape, {x, l.list("volumes_shape", {0, 0, out[2], out[3], out[4]})},
                    zero_copies);
    }
    std::vector<ValueId> factors = {matrix, x};
    if (from_right) factors = {x, matrix};
    x = a == axes.back() ? l.node(Op::matmul, factors)
                         : l.before("over_" + name, Op::matmul, factors);
  }
  return x;
}

// Maxima over windows of unlike sizes, axis by axis: each window is gathered as a row, the short
// ones with their last element twice, which changes no maximum.
ValueId maxima_by_rows(Lowering& l) {
  std::vector<int64_t> axes;
  for (int64_t a = 0; a < l.rank(); ++a) {
    const Axis axis = axis_of(l, static_cast<std::size_t>(a));
    if (axis.in != axis.out) axes.push_back(a);
  }
  ValueId x = l.input(0);
  for (const int64_t a : axes) {
    const std::string name = axis_name(l.rank(), a);
    const Axis axis = axis_of(l, static_cast<std::size_t>(a));
    int64_t longest = 1;
    for (int64_t o = 0; o < axis.out; ++o)
      longest = std::max(longest, window_of(axis, o).end - window_of(axis, o).begin);
    std::vector<int64_t> indices;
    for (int64_t o = 0; o < axis.out; ++o)
      for (int64_t i = 0; i < longest; ++i)
        indices.push_back(std::min(window_of(axis, o).begin + i, window_of(axis, o).end - 1));
    const ValueId rows =
        l.before("rows_" + name, Op::gather,
                 {x, l.constant("windows_" + name, from_values(indices, {axis.out, longest}))},
                 Attributes{{"axis", a + 2}});
    std::vector<ValueId> inputs = {rows, l.list("row_axis_" + name, {a + 3})};
    Attributes attributes{{"keepdims", int64_t{0}}, {"noop_with_empty_axes", int64_t{0}}};
    x = a == axes.back()
            ? l.node(Op::reduce_max, std::move(inputs), std::move(attributes))
            : l.before("over_" + name, Op::reduce_max, std::move(inputs), std::move(attributes));
  }
  return x;
}

template <int Rank>
struct AdaptiveWindows {
  bool is_global = true;
  bool is_identity = true;
  bool is_even = true;  ///< all windows of one size, side by side
  List kernel;
};

template <int Rank>
AdaptiveWindows<Rank> adaptive_windows(const Lowering& l) {
  AdaptiveWindows<Rank> windows;
  for (std::size_t a = 0; a < Rank; ++a) {
    const Axis axis = axis_of(l, a);
    windows.is_global = windows.is_global && axis.out == 1;
    windows.is_identity = windows.is_identity && axis.out == axis.in;
    windows.is_even = windows.is_even && axis.in % axis.out == 0;
    windows.kernel.push_back(axis.in / axis.out);
  }
  return windows;
}

}  // namespace

template <int Rank>
ValueId lower_conv(Lowering& l) {
  const auto& p = l.params<ops::ConvParams<Rank>>();
  List kernel;
  List pads(2 * Rank);
  for (std::size_t a = 0; a < Rank; ++a) {
    kernel.push_back(l.shape(1)[static_cast<int64_t>(a) + 2]);
    SamePadding ends{p.padding.lo[a], p.padding.hi[a]};
    if (p.padding.same)
      ends = same_padding(axis_of(l, a).in, kernel[a], p.stride[a], p.dilation[a]);
    pads[a] = ends.lo;
    pads[a + Rank] = ends.hi;
  }
  std::vector<ValueId> inputs = {l.input(0), l.input(1)};
  if (l.input(2) != kNoValue) inputs.push_back(l.input(2));
  return l.node(Op::conv, std::move(inputs),
                Attributes{{"auto_pad", std::string("NOTSET")},
                           {"dilations", list_of(p.dilation)},
                           {"group", p.groups},
                           {"kernel_shape", kernel},
                           {"pads", pads},
                           {"strides", list_of(p.stride)}});
}

template <int Rank>
ValueId lower_max_pool(Lowering& l) {
  return lower_max_pool_of<Rank>(l, l.input(0), l.params<ops::MaxPoolParams<Rank>>());
}

template <int Rank>
ValueId lower_max_pool_of(Lowering& l, ValueId x, const ops::MaxPoolParams<Rank>& params) {
  const ops::MaxPoolParams<Rank> p = ops::with_stride(params);
  List pads = pads_of<Rank>(l, p.kernel_size, p.stride, p.padding, p.dilation);
  Attributes attributes =
      pool_attributes(list_of(p.kernel_size), list_of(p.stride), std::move(pads));
  attributes.set("dilations", list_of(p.dilation));
  return max_pool_node(l, x, std::move(attributes));
}

// The sum of each window, divided by a number of its own.
template <int Rank>
ValueId lower_divided_pool(Lowering& l, const ops::AvgPoolParams<Rank>& p, Attributes attributes) {
  double taps = 1;
  for (const int64_t extent : p.kernel_size.values) taps *= static_cast<double>(extent);
  attributes.set("count_include_pad", int64_t{1});  // so that all means are of as many
  const ValueId mean = l.before("mean", Op::average_pool, {l.input(0)}, std::move(attributes));
  const ValueId factor =
      l.number("factor", taps / static_cast<double>(p.divisor_override.value_or(1)));
  return l.node(Op::mul, {mean, factor});
}

// In ceil_mode, counting the padding: what the last window has beyond it does not count, so that it
// cannot be padding too. Readers differ on a last window that would begin behind the input, which
// PyTorch leaves out; the axis ends where that has no place.
template <int Rank>
ValueId lower_ceil_pool(Lowering& l, const ops::AvgPoolParams<Rank>& p, Attributes attributes) {
  List pads(2 * Rank);
  List cut_axes;
  List cut_ends;
  for (std::size_t a = 0; a < Rank; ++a) {
    const Axis axis = axis_of(l, a);
    const int64_t way = axis.in + 2 * p.padding[a] - p.kernel_size[a];
    const bool leaves_out = axis.out == way / p.stride[a] + 1;
    const int64_t end = p.padding[a] - (leaves_out ? way % p.stride[a] : 0);
    pads[a] = p.padding[a];
    pads[a + Rank] = std::max<int64_t>(0, end);
    if (end >= 0) continue;
    cut_axes.push_back(static_cast<int64_t>(a) + 2);
    cut_ends.push_back(end);
  }
  attributes.set("pads", pads);
  attributes.set("ceil_mode", int64_t{1});
  ValueId x = l.input(0);
  if (!cut_axes.empty())
    x = l.before("cut", Op::slice,
                 {x, l.list("cut_starts", List(cut_axes.size(), 0)), l.list("cut_ends", cut_ends),
                  l.list("cut_axes", cut_axes), l.list("cut_steps", List(cut_axes.size(), 1))});
  return avg_pool_node(l, x, std::move(attributes), true);
}

template <int Rank>
ValueId lower_avg_pool(Lowering& l) {
  const auto p = ops::with_stride(l.params<ops::AvgPoolParams<Rank>>());
  const List pads = pads_of<Rank>(l, p.kernel_size, p.stride, p.padding, 1);
  Attributes attributes = pool_attributes(list_of(p.kernel_size), list_of(p.stride), pads);
  if (p.divisor_override) return lower_divided_pool<Rank>(l, p, std::move(attributes));
  const bool counts_padding = p.count_include_pad && p.padding != Extents<Rank>(0);
  if (counts_padding && goes_beyond<Rank>(pads, p.padding))
    return lower_ceil_pool<Rank>(l, p, std::move(attributes));
  return avg_pool_node(l, l.input(0), std::move(attributes), counts_padding);
}

template <int Rank>
ValueId lower_adaptive_max_pool(Lowering& l) {
  const AdaptiveWindows<Rank> windows = adaptive_windows<Rank>(l);
  if (windows.is_identity) return l.input(0);
  if (windows.is_global) return l.node(Op::global_max_pool, {l.input(0)});
  if (!windows.is_even) return maxima_by_rows(l);
  Attributes attributes = pool_attributes(windows.kernel, windows.kernel, List(2 * Rank, 0));
  attributes.set("dilations", List(Rank, 1));
  return max_pool_node(l, l.input(0), std::move(attributes));
}

template <int Rank>
ValueId lower_adaptive_avg_pool(Lowering& l) {
  const AdaptiveWindows<Rank> windows = adaptive_windows<Rank>(l);
  if (windows.is_identity) return l.input(0);
  if (windows.is_global) return l.node(Op::global_average_pool, {l.input(0)});
  if (!windows.is_even) return means_by_matrices(l);
  return avg_pool_node(l, l.input(0),
                       pool_attributes(windows.kernel, windows.kernel, List(2 * Rank, 0)), false);
}

ValueId lower_pad(Lowering& l) {
  const auto& p = l.params<ops::PadParams>();
  const int64_t first = l.shape(0).dim() - std::ssize(p.lo);
  List pads(static_cast<std::size_t>(2 * l.shape(0).dim()), 0);
  for (std::size_t i = 0; i < p.lo.size(); ++i) {
    const auto axis = static_cast<std::size_t>(first) + i;
    pads[axis] = p.lo[i];
    pads[axis + pads.size() / 2] = p.hi[i];
  }
  if (std::all_of(pads.begin(), pads.end(), [](int64_t n) { return n == 0; })) return l.input(0);
  constexpr const char* kModes[] = {"constant", "reflect", "edge", "wrap"};
  const Attributes mode{{"mode", std::string(kModes[static_cast<std::size_t>(p.mode)])}};
  std::vector<ValueId> inputs = {l.input(0), l.list("pads", pads)};
  if (p.mode == PaddingMode::zeros && p.value != 0) inputs.push_back(l.number("value", p.value));
  return l.node(Op::pad, std::move(inputs), mode);
}

#define CONVKIT_INSTANTIATE_LOWERING(Rank)                                                       \
  template ValueId lower_conv<Rank>(Lowering&);                                                  \
  template ValueId lower_max_pool<Rank>(Lowering&);                                              \
  template ValueId lower_max_pool_of<Rank>(Lowering&, ValueId, const ops::MaxPoolParams<Rank>&); \
  template ValueId lower_avg_pool<Rank>(Lowering&);                                              \
  template ValueId lower_adaptive_max_pool<Rank>(Lowering&);                                     \
  template ValueId lower_adaptive_avg_pool<Rank>(Lowering&);
CONVKIT_INSTANTIATE_LOWERING(1)
CONVKIT_INSTANTIATE_LOWERING(2)
CONVKIT_INSTANTIATE_LOWERING(3)

}  // namespace convkit::graph
