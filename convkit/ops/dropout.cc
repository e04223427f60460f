#include "convkit/ops/dropout.h"

#include <algorithm>
#include <array>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/base/thread_pool.h"
#include "convkit/ops/axes.h"
#include "convkit/ops/dispatch.h"

namespace convkit::ops {
namespace {

// Factors 0 (with probability p) and 1 / (1 − p). Blocks of four come from the counter, so that any
// thread can make any part.
template <class T>
void draw_mask(double p, const Generator& stream, int64_t count, T* mask) {
  const auto threshold = static_cast<uint64_t>(p * 0x1p32);
  const T kept = p < 1 ? static_cast<T>(1 / (1 - p)) : T{0};
  constexpr int64_t kElementsPerTask = 1 << 14;  // a multiple of 4
  parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += 4) {
      const auto block = static_cast<uint64_t>(i / 4);
      const std::array<uint32_t, 4> drawn = philox(
          stream.seed(), {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                          static_cast<uint32_t>(stream.stream()),
                          static_cast<uint32_t>(stream.stream() >> 32)});
      for (int64_t k = i; k < std::min(i + 4, end); ++k)
        mask[k] = drawn[static_cast<std::size_t>(k - i)] < threshold ? T{0} : kept;
    }
  });
}

Tensor apply(const char* name, const Tensor& x, const Shape& mask_shape, const DropoutParams& params,
             Generator& generator) {
  Tensor mask(mask_shape, x.dtype());
  const Generator stream = generator.split(generator.next_u64());
  with_float_type(x, [&]<class T>() {
    draw_mask(params.p, stream, mask.numel(), mask.mutable_data<T>());
  });
  const Tensor y = broadcast_binary(kernels::BinaryOp::mul, x, mask, x.shape());
  return autograd::record({name, params}, {x}, y, [mask](const Tensor& dy, autograd::Needs) {
    return autograd::Gradients{
        broadcast_binary(kernels::BinaryOp::mul, dy, mask, dy.shape())};
  });
}

void check(const char* name, const Tensor& x, double p) {
  check_floating(name, x);
  CONVKIT_CHECK(p >= 0 && p <= 1, ValueError, name, ": p (", p,
                ") is the probability of dropping and must be between 0 and 1");
}

Tensor channel_dropout(const char* name, int64_t spatial, const Tensor& x, double p, bool training,
                       Generator& generator) {
  check(name, x, p);
  CONVKIT_CHECK(x.rank() == spatial + 2 || x.rank() == spatial + 1, ShapeError, name,
                ": the input is ", x.shape(), " of rank ", x.rank(), "; it must be (N, C, ",
                spatial, " spatial axes) or unbatched (C, ", spatial, " spatial axes)");
  if (!training || p == 0) return x;
  std::vector<int64_t> extents = x.shape().to_vector();
  std::fill(extents.end() - spatial, extents.end(), 1);
  return apply(name, x, extents, {p, true}, generator);
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training, Generator& generator) {
  check("dropout", x, p);
  if (!training || p == 0) return x;
  return apply("dropout", x, x.shape(), {p, false}, generator);
}

Tensor dropout1d(const Tensor& x, double p, bool training, Generator& generator) {
  return channel_dropout("dropout1d", 1, x, p, training, generator);
}
Tensor dropout2d(const Tensor& x, double p, bool training, Generator& generator) {
  return channel_dropout("dropout2d", 2, x, p, training, generator);
}
Tensor dropout3d(const Tensor& x, double p, bool training, Generator& generator) {
  return channel_dropout("dropout3d", 3, x, p, training, generator);
}

}  // namespace convkit::ops
