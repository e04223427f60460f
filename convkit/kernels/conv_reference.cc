#include "convkit/kernels/conv_reference.h"

#include <algorithm>
#include <vector>

#include "convkit/base/thread_pool.h"

namespace convkit::kernels {
namespace {

// Calls visit(o, k, i) for the output, tap and input positions of every axis that meet, given the
// taps and outputs to walk over. Positions are linear indices over the three axes.
struct Walk {
  const ConvGeometry& g;

  // For one output position: every tap that lies inside the input.
  template <class Visit>
  void taps_of_output(int64_t od, int64_t oh, int64_t ow, Visit&& visit) const {
    for (int64_t kd = 0; kd < g.kernel[0]; ++kd) {
      const int64_t id = od * g.stride[0] - g.pad_lo[0] + kd * g.dilation[0];
      if (id < 0 || id >= g.in[0]) continue;
      for (int64_t kh = 0; kh < g.kernel[1]; ++kh) {
        const int64_t ih = oh * g.stride[1] - g.pad_lo[1] + kh * g.dilation[1];
        if (ih < 0 || ih >= g.in[1]) continue;
        for (int64_t kw = 0; kw < g.kernel[2]; ++kw) {
          const int64_t iw = ow * g.stride[2] - g.pad_lo[2] + kw * g.dilation[2];
          if (iw < 0 || iw >= g.in[2]) continue;
          visit((kd * g.kernel[1] + kh) * g.kernel[2] + kw, (id * g.in[1] + ih) * g.in[2] + iw);
        }
      }
    }
  }

  // Every output position: visit(linear output, od, oh, ow).
  template <class Visit>
  void outputs(Visit&& visit) const {
    int64_t o = 0;
    for (int64_t od = 0; od < g.out[0]; ++od)
      for (int64_t oh = 0; oh < g.out[1]; ++oh)
        for (int64_t ow = 0; ow < g.out[2]; ++ow) visit(o++, od, oh, ow);
  }

  int64_t taps() const { return g.kernel[0] * g.kernel[1] * g.kernel[2]; }
  int64_t input_size() const { return g.in[0] * g.in[1] * g.in[2]; }
  int64_t output_size() const { return g.out[0] * g.out[1] * g.out[2]; }
};

}  // namespace

template <class T>
void reference_forward(const ConvGeometry& g, const T* x, const T* w, const T* bias, T* y) {
  const Walk walk{g};
  const int64_t cin = g.group_in();
  const int64_t cout = g.group_out();
  parallel_for(g.batch * g.groups, [&](int64_t task) {
    const int64_t n = task / g.groups;
    const int64_t group = task % g.groups;
    const T* const image = x + n * walk.input_size() * g.in_channels + group * cin;
    T* const result = y + n * walk.output_size() * g.out_channels;
    walk.outputs([&](int64_t o, int64_t od, int64_t oh, int64_t ow) {
      for (int64_t co = group * cout; co < (group + 1) * cout; ++co) {
        double sum = bias != nullptr ? static_cast<double>(bias[co]) : 0.0;
        walk.taps_of_output(od, oh, ow, [&](int64_t tap, int64_t i) {
          const T* const row = image + i * g.in_channels;
          const T* const weights = w + (co * walk.taps() + tap) * cin;
          for (int64_t c = 0; c < cin; ++c)
            sum += static_cast<double>(row[c]) * static_cast<double>(weights[c]);
        });
        result[o * g.out_channels + co] = static_cast<T>(sum);
      }
    });
  });
}

template <class T>
void reference_backward_input(const ConvGeometry& g, const T* dy, const T* w, T* dx) {
  const Walk walk{g};
  const int64_t cin = g.group_in();
  const int64_t cout = g.group_out();
  parallel_for(g.batch * g.groups, [&](int64_t task) {
    const int64_t n = task / g.groups;
    const int64_t group = task % g.groups;
    std::vector<double> sums(static_cast<std::size_t>(walk.input_size() * cin), 0.0);
    walk.outputs([&](int64_t o, int64_t od, int64_t oh, int64_t ow) {
      const T* const row = dy + (n * walk.output_size() + o) * g.out_channels;
      walk.taps_of_output(od, oh, ow, [&](int64_t tap, int64_t i) {
        for (int64_t co = group * cout; co < (group + 1) * cout; ++co) {
          const T* const weights = w + (co * walk.taps() + tap) * cin;
          for (int64_t c = 0; c < cin; ++c)
            sums[static_cast<std::size_t>(i * cin + c)] +=
                static_cast<double>(row[co]) * static_cast<double>(weights[c]);
        }
      });
    });
    T* const image = dx + n * walk.input_size() * g.in_channels + group * cin;
    for (int64_t i = 0; i < walk.input_size(); ++i)
      for (int64_t c = 0; c < cin; ++c)
        image[i * g.in_channels + c] = static_cast<T>(sums[static_cast<std::size_t>(i * cin + c)]);
  });
}

template <class T>
void reference_backward_weight(const ConvGeometry& g, const T* x, const T* dy, T* dw) {
  const Walk walk{g};
  const int64_t cin = g.group_in();
  const int64_t cout = g.group_out();
  parallel_for(g.out_channels, [&](int64_t co) {
    const int64_t group = co / cout;
    std::vector<double> sums(static_cast<std::size_t>(walk.taps() * cin), 0.0);
    for (int64_t n = 0; n < g.batch; ++n) {
      const T* const image = x + n * walk.input_size() * g.in_channels + group * cin;
      walk.outputs([&](int64_t o, int64_t od, int64_t oh, int64_t ow) {
        const auto slope =
            static_cast<double>(dy[(n * walk.output_size() + o) * g.out_channels + co]);
        walk.taps_of_output(od, oh, ow, [&](int64_t tap, int64_t i) {
          const T* const row = image + i * g.in_channels;
          for (int64_t c = 0; c < cin; ++c)
            sums[static_cast<std::size_t>(tap * cin + c)] += slope * static_cast<double>(row[c]);
        });
      });
    }
    std::transform(sums.begin(), sums.end(), dw + co * walk.taps() * cin,
                   [](double sum) { return static_cast<T>(sum); });
  });
}

namespace {

class Reference : public ConvProgram {
 public:
  Reference(const ConvGeometry& g, Direction direction) : g_(g), direction_(direction) {}
  void run(const float* first, const float* second, const ConvEpilogue& epilogue,
           float* out) const override {
    if (direction_ == Direction::backward_input)
      return reference_backward_input(g_, first, second, out);
    if (direction_ == Direction::backward_weight)
      return reference_backward_weight(g_, first, second, out);
    std::vector<float> sums(static_cast<std::size_t>(output_count(g_)));
    reference_forward(g_, first, second, epilogue.bias, sums.data());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const float sum = sums[i] + (epilogue.residual != nullptr ? epilogue.residual[i] : 0.0f);
      out[i] = sum < epilogue.low ? epilogue.low : sum > epilogue.high ? epilogue.high : sum;
    }
    epilogue.finish(out, output_count(g_));
  }
  ConvWork work() const override { return {.products = 64.0 * static_cast<double>(macs(g_))}; }

 private:
  ConvGeometry g_;
  Direction direction_;
};

}  // namespace

std::unique_ptr<ConvProgram> prepare_reference(const ConvGeometry& geometry, Direction direction) {
  return std::make_unique<Reference>(geometry, direction);
}

#define CONVKIT_DEFINE_REFERENCE(T)                                                       \
  template void reference_forward(const ConvGeometry&, const T*, const T*, const T*, T*); \
  template void reference_backward_input(const ConvGeometry&, const T*, const T*, T*);    \
  template void reference_backward_weight(const ConvGeometry&, const T*, const T*, T*);
CONVKIT_DEFINE_REFERENCE(float)
CONVKIT_DEFINE_REFERENCE(double)
#undef CONVKIT_DEFINE_REFERENCE

}  // namespace convkit::kernels
