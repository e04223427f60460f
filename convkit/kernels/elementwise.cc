#include "convkit/kernels/elementwise.h"

#include <algorithm>
#include <cstddef>

#include "convkit/base/thread_pool.h"

// Targets between the baseline and AVX2 would only make the library larger.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/elementwise.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "convkit/kernels/elementwise_functions-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels {
namespace HWY_NAMESPACE {

template <class F>
struct ValueOf : F {
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> x) const {
    return F::value(d, x);
  }
};

template <class F>
struct GradientOf : F {
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> saved, Vector<D> dy) const {
    return F::gradient(d, saved, dy);
  }
};

template <class T>
HWY_INLINE void unary_forward_as(UnaryOp op, const UnaryParams& params, int64_t count, const T* x,
                                 T* y) {
  const hn::ScalableTag<T> d;
  const Function<T> parameters{static_cast<T>(params.a), static_cast<T>(params.b)};
  switch (op) {
#define CONVKIT_ROW(NAME, STRUCT) \
  case UnaryOp::NAME:             \
    return for_each_vector(d, count, x, y, ValueOf<STRUCT<T>>{{parameters}});
    CONVKIT_UNARY_TABLE(CONVKIT_ROW)
#undef CONVKIT_ROW
  }
}

template <class T>
HWY_INLINE void unary_backward_as(UnaryOp op, const UnaryParams& params, int64_t count,
                                  const T* saved, const T* dy, T* dx) {
  const hn::ScalableTag<T> d;
  const Function<T> parameters{static_cast<T>(params.a), static_cast<T>(params.b)};
  switch (op) {
#define CONVKIT_ROW(NAME, STRUCT) \
  case UnaryOp::NAME:             \
    return for_each_vector(d, count, saved, dy, dx, GradientOf<STRUCT<T>>{{parameters}});
    CONVKIT_UNARY_TABLE(CONVKIT_ROW)
#undef CONVKIT_ROW
  }
}

template <BinaryOp kOp>
struct BinaryFunction {
  template <class D>
  HWY_INLINE Vector<D> operator()(D, Vector<D> a, Vector<D> b) const {
    if constexpr (kOp == BinaryOp::add) return hn::Add(a, b);
    if constexpr (kOp == BinaryOp::sub) return hn::Sub(a, b);
    if constexpr (kOp == BinaryOp::mul) return hn::Mul(a, b);
    if constexpr (kOp == BinaryOp::div) return hn::Div(a, b);
  }
};

template <class T, class F>
struct WithSecond : F {
  T b;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> a) const {
    return F::operator()(d, a, hn::Set(d, b));
  }
};
template <class T, class F>
struct WithFirst : F {
  T a;
  template <class D>
  HWY_INLINE Vector<D> operator()(D d, Vector<D> b) const {
    return F::operator()(d, hn::Set(d, a), b);
  }
};

template <class F, class T>
HWY_INLINE void binary_row(int64_t count, const T* a, int64_t a_stride, const T* b,
                           int64_t b_stride, T* y) {
  const hn::ScalableTag<T> d;
  const F f;
  if (a_stride == 1 && b_stride == 1) {
    for_each_vector(d, count, a, b, y, f);
  } else if (a_stride == 1) {
    for_each_vector(d, count, a, y, WithSecond<T, F>{f, *b});
  } else if (b_stride == 1) {
    for_each_vector(d, count, b, y, WithFirst<T, F>{f, *a});
  } else {
    for_each_vector(d, 1, a, b, y, f);
    std::fill(y + 1, y + count, *y);
  }
}

template <class T>
HWY_INLINE void binary_row_as(BinaryOp op, int64_t count, const T* a, int64_t a_stride, const T* b,
                              int64_t b_stride, T* y) {
  switch (op) {
    case BinaryOp::add:
      return binary_row<BinaryFunction<BinaryOp::add>>(count, a, a_stride, b, b_stride, y);
    case BinaryOp::sub:
      return binary_row<BinaryFunction<BinaryOp::sub>>(count, a, a_stride, b, b_stride, y);
    case BinaryOp::mul:
      return binary_row<BinaryFunction<BinaryOp::mul>>(count, a, a_stride, b, b_stride, y);
    case BinaryOp::div:
      return binary_row<BinaryFunction<BinaryOp::div>>(count, a, a_stride, b, b_stride, y);
  }
}

void unary_forward_f32(UnaryOp op, const UnaryParams& params, int64_t count, const float* x,
                       float* y) {
  unary_forward_as(op, params, count, x, y);
}
void unary_backward_f32(UnaryOp op, const UnaryParams& params, int64_t count, const float* saved,
                        const float* dy, float* dx) {
  unary_backward_as(op, params, count, saved, dy, dx);
}
void binary_row_f32(BinaryOp op, int64_t count, const float* a, int64_t a_stride, const float* b,
                    int64_t b_stride, float* y) {
  binary_row_as(op, count, a, a_stride, b, b_stride, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace convkit::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {
namespace {

HWY_EXPORT(unary_forward_f32);
HWY_EXPORT(unary_backward_f32);
HWY_EXPORT(binary_row_f32);

// 128 KiB of floats: long enough to hide the hand-over, short enough to share among threads.
constexpr int64_t kElementsPerTask = 1 << 15;

// double serves gradient checks, not speed: one body, for the instructions any machine has, is
// enough.
template <class T>
constexpr bool kIsFloat = sizeof(T) == sizeof(float);

// The operand's offset at the start of row `row` of all but the innermost axis.
int64_t row_offset(const Broadcast& axes, const std::array<int64_t, Broadcast::kMaxAxes>& strides,
                   int64_t row) {
  int64_t offset = 0;
  for (int axis = axes.axes - 2; axis >= 0; --axis) {
    const auto i = static_cast<std::size_t>(axis);
    offset += row % axes.extents[i] * strides[i];
    row /= axes.extents[i];
  }
  return offset;
}

}  // namespace

template <class T>
void unary_forward(UnaryOp op, const UnaryParams& params, int64_t count, const T* x, T* y) {
  parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    if constexpr (kIsFloat<T>)
      HWY_DYNAMIC_DISPATCH(unary_forward_f32)(op, params, end - begin, x + begin, y + begin);
    else
      HWY_STATIC_DISPATCH(unary_forward_as)(op, params, end - begin, x + begin, y + begin);
  });
}

void apply(const UnaryFunction& function, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(unary_forward_f32)(function.op, function.params, count, y, y);
}

template <class T>
void unary_backward(UnaryOp op, const UnaryParams& params, int64_t count, const T* saved,
                    const T* dy, T* dx) {
  parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    const int64_t n = end - begin;
    const T* const kept = saved + begin;
    if constexpr (kIsFloat<T>)
      HWY_DYNAMIC_DISPATCH(unary_backward_f32)(op, params, n, kept, dy + begin, dx + begin);
    else
      HWY_STATIC_DISPATCH(unary_backward_as)(op, params, n, kept, dy + begin, dx + begin);
  });
}

Broadcast make_broadcast(const Broadcast& axes) {
  Broadcast merged;
  for (std::size_t i = 0; i < static_cast<std::size_t>(axes.axes); ++i) {
    if (axes.extents[i] == 1) continue;
    const auto last = static_cast<std::size_t>(merged.axes) - 1;
    // An outer axis goes on where the inner one ends, in both operands: one axis.
    const bool continues = merged.axes > 0 &&
                           merged.a_strides[last] == axes.extents[i] * axes.a_strides[i] &&
                           merged.b_strides[last] == axes.extents[i] * axes.b_strides[i];
    if (continues) {
      merged.extents[last] *= axes.extents[i];
      merged.a_strides[last] = axes.a_strides[i];
      merged.b_strides[last] = axes.b_strides[i];
    } else {
      const auto next = static_cast<std::size_t>(merged.axes++);
      merged.extents[next] = axes.extents[i];
      merged.a_strides[next] = axes.a_strides[i];
      merged.b_strides[next] = axes.b_strides[i];
    }
  }
  if (merged.axes == 0) {
    merged.axes = 1;
    merged.extents[0] = 1;
    merged.a_strides[0] = merged.b_strides[0] = 1;
  }
  return merged;
}

template <class T>
void binary(BinaryOp op, const Broadcast& broadcast, const T* a, const T* b, T* y) {
  const auto inner_axis = static_cast<std::size_t>(broadcast.axes) - 1;
  const int64_t inner = broadcast.extents[inner_axis];
  const int64_t a_stride = broadcast.a_strides[inner_axis];
  const int64_t b_stride = broadcast.b_strides[inner_axis];
  int64_t rows = 1;
  for (std::size_t i = 0; i < inner_axis; ++i) rows *= broadcast.extents[i];
  if (rows == 0 || inner == 0) return;
  const int64_t piece = std::min(inner, kElementsPerTask);
  const int64_t pieces = (inner + piece - 1) / piece;
  parallel_ranges(rows * pieces, kElementsPerTask / piece, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / pieces;
      const int64_t from = i % pieces * piece;
      const int64_t count = std::min(piece, inner - from);
      const T* const a_row = a + row_offset(broadcast, broadcast.a_strides, row) + from * a_stride;
      const T* const b_row = b + row_offset(broadcast, broadcast.b_strides, row) + from * b_stride;
      T* const y_row = y + row * inner + from;
      if constexpr (kIsFloat<T>)
        HWY_DYNAMIC_DISPATCH(binary_row_f32)(op, count, a_row, a_stride, b_row, b_stride, y_row);
      else
        HWY_STATIC_DISPATCH(binary_row_as)(op, count, a_row, a_stride, b_row, b_stride, y_row);
    }
  });
}

template <class T>
void prelu_forward(int64_t rows, int64_t channels, const T* x, const T* w, T* y) {
  parallel_ranges(rows, kElementsPerTask / std::max<int64_t>(channels, 1),
                  [=](int64_t begin, int64_t end) {
                    for (int64_t r = begin; r < end; ++r)
                      for (int64_t c = 0; c < channels; ++c) {
                        const T value = x[r * channels + c];
                        y[r * channels + c] = value > 0 ? value : w[c] * value;
                      }
                  });
}

template <class T>
void prelu_backward(int64_t rows, int64_t channels, const T* x, const T* w, const T* dy, T* dx,
                    T* w_terms) {
  parallel_ranges(rows, kElementsPerTask / std::max<int64_t>(channels, 1),
                  [=](int64_t begin, int64_t end) {
                    for (int64_t r = begin; r < end; ++r)
                      for (int64_t c = 0; c < channels; ++c) {
                        const int64_t i = r * channels + c;
                        const bool positive = x[i] > 0;
                        if (dx != nullptr) dx[i] = positive ? dy[i] : w[c] * dy[i];
                        if (w_terms != nullptr) w_terms[i] = positive ? T{0} : x[i] * dy[i];
                      }
                  });
}

#define CONVKIT_INSTANTIATE_ELEMENTWISE(T)                                                    \
  template void unary_forward(UnaryOp, const UnaryParams&, int64_t, const T*, T*);            \
  template void unary_backward(UnaryOp, const UnaryParams&, int64_t, const T*, const T*, T*); \
  template void binary(BinaryOp, const Broadcast&, const T*, const T*, T*);                   \
  template void prelu_forward(int64_t, int64_t, const T*, const T*, T*);                      \
  template void prelu_backward(int64_t, int64_t, const T*, const T*, const T*, T*, T*);
CONVKIT_INSTANTIATE_ELEMENTWISE(float)
CONVKIT_INSTANTIATE_ELEMENTWISE(double)
#undef CONVKIT_INSTANTIATE_ELEMENTWISE

}  // namespace convkit::kernels
#endif  // HWY_ONCE
