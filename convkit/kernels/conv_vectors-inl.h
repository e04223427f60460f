// What the convolution kernels share: the vector type, and loads and stores of a vector's first
// elements. Included once per instruction set.
#if defined(CONVKIT_KERNELS_CONV_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CONVKIT_KERNELS_CONV_VECTORS_INL_H_
#undef CONVKIT_KERNELS_CONV_VECTORS_INL_H_
#else
#define CONVKIT_KERNELS_CONV_VECTORS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

// Loops over a tile must vanish, or its sums would live in memory. The compilers leave loops of 14
// as they are unless told otherwise.
#undef CONVKIT_UNROLL
#if HWY_COMPILER_CLANG
#define CONVKIT_UNROLL _Pragma("unroll")
#else
#define CONVKIT_UNROLL _Pragma("GCC unroll 16")
#endif

// After the parameters of a lambda that must vanish into its caller.
#undef CONVKIT_INLINE_LAMBDA
#define CONVKIT_INLINE_LAMBDA __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

// Neither may touch memory beyond `count` floats: the next byte may belong to nobody.
HWY_INLINE Vector LoadFirst(Floats d, const float* from, int64_t count) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (count >= lanes) return hn::LoadU(d, from);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(std::max<int64_t>(count, 0))), d, from);
#else
  HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)] = {};
  for (int64_t i = 0; i < count; ++i) copy[i] = from[i];
  return hn::Load(d, copy);
#endif
}

HWY_INLINE void StoreFirst(Vector value, Floats d, float* to, int64_t count) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  if (count >= lanes) return hn::StoreU(value, d, to);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(std::max<int64_t>(count, 0))), d, to);
#else
  HWY_ALIGN float copy[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(value, d, copy);
  for (int64_t i = 0; i < count; ++i) to[i] = copy[i];
#endif
}

// Keeps NaN. So do x86's maximum and minimum, whose result is the second operand if one is no
// number or both are zero: half of the work. Other instruction sets' do not.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Clamp(D d, V value, float low, float high) {
  const V lowest = hn::Set(d, low);
  const V highest = hn::Set(d, high);
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
  return hn::Min(highest, hn::Max(lowest, value));
#else
  const V raised = hn::IfThenElse(hn::Lt(value, lowest), lowest, value);
  return hn::IfThenElse(hn::Gt(raised, highest), highest, raised);
#endif
}

}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // CONVKIT_KERNELS_CONV_VECTORS_INL_H_
