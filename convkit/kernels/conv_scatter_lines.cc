#include "convkit/kernels/conv_scatter_lines.h"

#include "convkit/kernels/conv_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/conv_scatter_lines.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
// After foreach_target:
#include "convkit/kernels/conv_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

void Add(const ScatterPlace* places, int64_t count, int64_t length) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (const ScatterPlace* place = places; place != places + count; ++place)
    for (const ScatterLine* line = place->lines; line != place->lines + place->line_count; ++line) {
      const float* const from = place->contributions + line->from;
      float* const to = place->sums + line->to;
      for (int64_t i = 0; i < length; i += lanes)
        hn::StoreU(hn::Add(hn::LoadU(d, to + i), LoadFirst(d, from + i, length - i)), d, to + i);
    }
}

void Store(const ScatterResult& result, int64_t count, float* out) {
  const Floats d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < count; i += lanes) {
    const int64_t left = count - i;
    Vector value = LoadFirst(d, result.sums + i, left);
    if (result.bias != nullptr) value = hn::Add(value, LoadFirst(d, result.bias + i, left));
    if (result.residual != nullptr) value = hn::Add(value, LoadFirst(d, result.residual + i, left));
    if (result.clamps) value = Clamp(d, value, result.low, result.high);
    StoreFirst(value, d, out + i, left);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {
HWY_EXPORT(Add);
HWY_EXPORT(Store);
}  // namespace
void scatter_add(const ScatterPlace* places, int64_t count, int64_t length) {
  HWY_DYNAMIC_DISPATCH(Add)(places, count, length);
}
void scatter_store(const ScatterResult& result, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Store)(result, count, out);
}
}  // namespace convkit::kernels
#endif
