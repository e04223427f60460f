#include "convkit/nn/pool.h"

namespace convkit::nn {
namespace {

// One number where all axes have the same, as people write it.
template <int Rank>
std::string brief(const Extents<Rank>& extents) {
  return extents == Extents<Rank>(extents[0]) ? to_text(extents[0]) : to_text(extents);
}

const char* python(bool value) { return value ? "True" : "False"; }

template <int Rank>
std::string describe_adaptive(const char* kind, const AdaptivePoolOptions<Rank>& options) {
  const Extents<Rank>& size = options.output_size;
  const auto one = [](int64_t extent) {
    return extent == ops::kKeepExtent ? std::string("None") : to_text(extent);
  };
  std::string text;
  if (size == Extents<Rank>(size[0])) {
    text = one(size[0]);
  } else {
    for (const int64_t extent : size.values) text += (text.empty() ? "(" : ", ") + one(extent);
    text += ")";
  }
  return message("Adaptive", kind, "Pool", Rank, "d(output_size=", text, ")");
}

}  // namespace

template <int Rank>
MaxPool<Rank>::MaxPool(const MaxPoolOptions<Rank>& o) : options(ops::with_stride(o)) {
  ops::validate(o);
}

template <int Rank>
Tensor MaxPool<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::max_pool(x, options);
}

template <int Rank>
std::string MaxPool<Rank>::describe() const {
  const MaxPoolOptions<Rank>& o = options;
  return message("MaxPool", Rank, "d(kernel_size=", brief(o.kernel_size),
                 ", stride=", brief(o.stride), ", padding=", brief(o.padding),
                 ", dilation=", brief(o.dilation), ", ceil_mode=", python(o.ceil_mode), ")");
}

template <int Rank>
AvgPool<Rank>::AvgPool(const AvgPoolOptions<Rank>& o) : options(ops::with_stride(o)) {
  ops::validate(o);
}

template <int Rank>
Tensor AvgPool<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::avg_pool(x, options);
}

template <int Rank>
std::string AvgPool<Rank>::describe() const {
  const AvgPoolOptions<Rank>& o = options;
  return message("AvgPool", Rank, "d(kernel_size=", brief(o.kernel_size),
                 ", stride=", brief(o.stride), ", padding=", brief(o.padding), ")");
}

template <int Rank>
AdaptiveAvgPool<Rank>::AdaptiveAvgPool(const AdaptivePoolOptions<Rank>& o) : options(o) {
  ops::validate(o, message("AdaptiveAvgPool", Rank, "d").c_str());
}

template <int Rank>
Tensor AdaptiveAvgPool<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::adaptive_avg_pool(x, options);
}

template <int Rank>
std::string AdaptiveAvgPool<Rank>::describe() const {
  return describe_adaptive("Avg", options);
}

template <int Rank>
AdaptiveMaxPool<Rank>::AdaptiveMaxPool(const AdaptivePoolOptions<Rank>& o) : options(o) {
  ops::validate(o, message("AdaptiveMaxPool", Rank, "d").c_str());
}

template <int Rank>
Tensor AdaptiveMaxPool<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::adaptive_max_pool(x, options);
}

template <int Rank>
std::string AdaptiveMaxPool<Rank>::describe() const {
  return describe_adaptive("Max", options);
}

#define CONVKIT_INSTANTIATE_POOLS(Rank)  \
  template struct MaxPool<Rank>;         \
  template struct AvgPool<Rank>;         \
  template struct AdaptiveAvgPool<Rank>; \
  template struct AdaptiveMaxPool<Rank>;
CONVKIT_INSTANTIATE_POOLS(1)
CONVKIT_INSTANTIATE_POOLS(2)
CONVKIT_INSTANTIATE_POOLS(3)

}  // namespace convkit::nn
