#include "convkit/kernels/conv_geometry.h"

#include <algorithm>
#include <map>

#include "convkit/base/checked.h"
#include "convkit/base/conv_size.h"
#include "convkit/base/error.h"

namespace convkit::kernels {
namespace {

constexpr const char* kAxisNames[kAxes] = {"D", "H", "W"};
// Sizes beyond this are a mistake; below it, sums such as in + pads cannot wrap around.
constexpr int64_t kMaxExtent = int64_t{1} << 40;

int64_t product(const Extents& extents, int64_t start, const char* what) {
  for (const int64_t extent : extents) start = checked_mul(start, extent, what);
  return start;
}

bool trivial(const ConvGeometry& g, int axis) {
  return g.in[axis] == 1 && g.out[axis] == 1 && g.kernel[axis] == 1 && g.stride[axis] == 1 &&
         g.dilation[axis] == 1 && g.pad_lo[axis] == 0 && g.pad_hi[axis] == 0;
}

bool same_axis(const ConvGeometry& g, int a, int b) {
  return g.in[a] == g.in[b] && g.out[a] == g.out[b] && g.kernel[a] == g.kernel[b] &&
         g.stride[a] == g.stride[b] && g.dilation[a] == g.dilation[b] && g.pad_lo[a] == g.pad_lo[b];
}

void check_axis(const ConvGeometry& g, int axis) {
  const char* const axis_name = kAxisNames[axis];
  const auto in_range = [&](int64_t value, int64_t lowest, const char* what) {
    CONVKIT_CHECK(value >= lowest && value <= kMaxExtent, ShapeError, "convolution: ", what, " ",
                  axis_name, " is ", value, "; it must be at least ", lowest);
  };
  in_range(g.in[axis], 1, "input size");
  in_range(g.kernel[axis], 1, "kernel size");
  in_range(g.stride[axis], 1, "stride");
  in_range(g.dilation[axis], 1, "dilation");
  in_range(g.pad_lo[axis], -kMaxExtent, "padding before");
  in_range(g.pad_hi[axis], -kMaxExtent, "padding after");
  checked_mul(g.kernel[axis], g.dilation[axis], "convolution: kernel span");
  const int64_t padded = g.in[axis] + g.pad_lo[axis] + g.pad_hi[axis];
  const int64_t out = conv_output_size(g.in[axis], g.kernel[axis], g.stride[axis], g.pad_lo[axis],
                                       g.pad_hi[axis], g.dilation[axis]);
  CONVKIT_CHECK(out >= 1, ShapeError, "convolution: the kernel spans ",
                kernel_span(g.kernel[axis], g.dilation[axis]), " along ", axis_name,
                ", but the padded input is ", padded, " (", g.in[axis], " + ", g.pad_lo[axis],
                " + ", g.pad_hi[axis], "); use more padding or a smaller kernel");
  CONVKIT_CHECK(out == g.out[axis], ShapeError, "convolution: output size ", axis_name, " is ",
                g.out[axis], ", but floor((", g.in[axis], " + ", g.pad_lo[axis], " + ",
                g.pad_hi[axis], " - ", g.dilation[axis], "*(", g.kernel[axis], " - 1) - 1) / ",
                g.stride[axis], ") + 1 = ", out);
}

// One letter per axis, then what an axis field means; e.g. "ih" or "kd".
void append_axis(std::string& text, const ConvGeometry& g, int axis) {
  const char letter = "dhw"[axis];
  const auto field = [&](const char* key, int64_t value) {
    text += key;
    text += letter;
    text += std::to_string(value);
  };
  field("k", g.kernel[axis]);
  if (g.stride[axis] != 1) field("s", g.stride[axis]);
  field("p", g.pad_lo[axis]);
  if (g.dilation[axis] != 1) field("d", g.dilation[axis] - 1);
}

}  // namespace

const char* name(Direction direction) {
  switch (direction) {
    case Direction::forward:
      return "forward";
    case Direction::backward_input:
      return "backward_input";
    case Direction::backward_weight:
      return "backward_weight";
  }
  return "?";
}

void validate(const ConvGeometry& g) {
  CONVKIT_CHECK(g.batch >= 0, ShapeError, "convolution: batch (", g.batch,
                ") must not be negative");
  CONVKIT_CHECK(g.in_channels >= 1 && g.out_channels >= 1, ShapeError, "convolution: in_channels (",
                g.in_channels, ") and out_channels (", g.out_channels, ") must be at least 1");
  CONVKIT_CHECK(g.groups >= 1, ShapeError, "convolution: groups (", g.groups,
                ") must be at least 1");
  CONVKIT_CHECK(g.in_channels % g.groups == 0, ShapeError, "convolution: in_channels (",
                g.in_channels, ") must be divisible by groups (", g.groups, ")");
  CONVKIT_CHECK(g.out_channels % g.groups == 0, ShapeError, "convolution: out_channels (",
                g.out_channels, ") must be divisible by groups (", g.groups, ")");
  for (int axis = 0; axis < kAxes; ++axis) check_axis(g, axis);
  constexpr int64_t kBytes = sizeof(double);
  checked_mul(input_count(g), kBytes, "convolution: input bytes");
  checked_mul(output_count(g), kBytes, "convolution: output bytes");
  checked_mul(weight_count(g), kBytes, "convolution: weight bytes");
}

ConvGeometry with_output_size(ConvGeometry g) {
  for (int axis = 0; axis < kAxes; ++axis)
    g.out[axis] = conv_output_size(g.in[axis], g.kernel[axis], g.stride[axis], g.pad_lo[axis],
                                   g.pad_hi[axis], g.dilation[axis]);
  return g;
}

int64_t input_count(const ConvGeometry& g) {
  constexpr const char* kWhat = "convolution: input elements";
  return product(g.in, checked_mul(g.batch, g.in_channels, kWhat), kWhat);
}

int64_t output_count(const ConvGeometry& g) {
  constexpr const char* kWhat = "convolution: output elements";
  return product(g.out, checked_mul(g.batch, g.out_channels, kWhat), kWhat);
}

int64_t weight_count(const ConvGeometry& g) {
  constexpr const char* kWhat = "convolution: weights";
  return product(g.kernel, checked_mul(g.out_channels, g.group_in(), kWhat), kWhat);
}

int64_t macs(const ConvGeometry& g) {
  constexpr const char* kWhat = "convolution: multiply-adds";
  return checked_mul(output_count(g), product(g.kernel, g.group_in(), kWhat), kWhat);
}

std::size_t hash(const ConvGeometry& g) {
  std::size_t seed = 0;
  const auto mix = [&seed](int64_t value) {
    seed ^= static_cast<std::size_t>(value) + 0x9e3779b97f4a7c15u + (seed << 6) + (seed >> 2);
  };
  for (const int64_t value : {g.batch, g.in_channels, g.out_channels, g.groups}) mix(value);
  for (const Extents* extents :
       {&g.in, &g.out, &g.kernel, &g.stride, &g.dilation, &g.pad_lo, &g.pad_hi})
    for (const int64_t value : *extents) mix(value);
  return seed;
}

std::string to_string(const ConvGeometry& g) {
  int first = 0;
  while (first < 2 && trivial(g, first)) ++first;
  // A square picture names H only; axes of volumes are all named.
  const int last = first == 1 && same_axis(g, 1, 2) ? 1 : 2;
  std::string text;
  const auto field = [&text](const char* key, int64_t value) {
    text += key;
    text += std::to_string(value);
  };
  const auto sizes = [&](char key, const Extents& extents) {
    for (int axis = first; axis <= last; ++axis) {
      text += key;
      text += "dhw"[axis];
      text += std::to_string(extents[axis]);
    }
  };
  if (g.groups != 1) field("g", g.groups);
  field("mb", g.batch);
  field("ic", g.in_channels);
  sizes('i', g.in);
  field("oc", g.out_channels);
  sizes('o', g.out);
  for (int axis = first; axis <= last; ++axis) append_axis(text, g, axis);
  return text;
}

ConvGeometry parse_problem(std::string_view text) {
  std::map<std::string, int64_t, std::less<>> fields;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t digits = i;
    while (digits < text.size() && text[digits] >= 'a' && text[digits] <= 'z') ++digits;
    std::size_t end = digits;
    if (end < text.size() && text[end] == '-') ++end;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    const std::string number(text.substr(digits, end - digits));
    CONVKIT_CHECK(digits > i && !number.empty() && number != "-" && number.size() <= 12, ValueError,
                  "convolution problem '", text, "': expected a key and a number at '",
                  text.substr(i), "', as in mb1ic64ih56oc64oh56kh3ph1");
    fields[std::string(text.substr(i, digits - i))] = std::stoll(number);
    i = end;
  }
  const auto take = [&](std::string_view key, int64_t fallback) {
    const auto found = fields.find(key);
    if (found == fields.end()) return fallback;
    const int64_t value = found->second;
    fields.erase(found);
    return value;
  };
  ConvGeometry g;
  g.groups = take("g", 1);
  g.batch = take("mb", 1);
  g.in_channels = take("ic", 1);
  g.out_channels = take("oc", 1);
  const auto has = [&](const char* key) { return fields.contains(key); };
  const int first = has("id") ? 0 : has("ih") ? 1 : 2;
  CONVKIT_CHECK(first < 2 || has("iw"), ValueError, "convolution problem '", text,
                "': an input size (id, ih or iw) is missing");
  for (int axis = first; axis < kAxes; ++axis) {
    const auto axis_field = [&](const char* key, const Extents& extents, int64_t fallback,
                                int64_t offset = 0) {
      std::string full = key;
      full += "dhw"[axis];
      const bool inherit = axis > first;
      return take(full, (inherit ? extents[axis - 1] : fallback) - offset) + offset;
    };
    g.in[axis] = axis_field("i", g.in, 1);
    g.kernel[axis] = axis_field("k", g.kernel, 1);
    g.stride[axis] = axis_field("s", g.stride, 1);
    g.pad_lo[axis] = axis_field("p", g.pad_lo, 0);
    g.dilation[axis] = axis_field("d", g.dilation, 1, 1);
    const int64_t unpadded = conv_output_size(g.in[axis], g.kernel[axis], g.stride[axis],
                                              g.pad_lo[axis], g.pad_lo[axis], g.dilation[axis]);
    g.out[axis] = axis_field("o", g.out, unpadded);
    g.pad_hi[axis] = (g.out[axis] - 1) * g.stride[axis] +
                     kernel_span(g.kernel[axis], g.dilation[axis]) - g.in[axis] - g.pad_lo[axis];
  }
  CONVKIT_CHECK(fields.empty(), ValueError, "convolution problem '", text, "': unknown field '",
                fields.empty() ? "" : fields.begin()->first, "'");
  validate(g);
  return g;
}

}  // namespace convkit::kernels
