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

// philox() of base/random.h for kBlocks counters in a row, side by side, so that the compiler can
// use SIMD: drawn[lane][k] is number 4·(first + k) + lane of the stream.
constexpr int64_t kBlocks = 16;
using Drawn = std::array<std::array<uint32_t, kBlocks>, 4>;
void draw(const Generator& stream, uint64_t first, Drawn& drawn) {
  auto& [c0, c1, c2, c3] = drawn;
  for (std::size_t k = 0; k < kBlocks; ++k) {
    c0[k] = static_cast<uint32_t>(first + k);
    c1[k] = static_cast<uint32_t>((first + k) >> 32);
    c2[k] = static_cast<uint32_t>(stream.stream());
    c3[k] = static_cast<uint32_t>(stream.stream() >> 32);
  }
  auto key0 = static_cast<uint32_t>(stream.seed());
  auto key1 = static_cast<uint32_t>(stream.seed() >> 32);
  for (int round = 0; round < 10; ++round) {
    for (std::size_t k = 0; k < kBlocks; ++k) {
      const uint64_t product0 = uint64_t{0xD2511F53} * c0[k];
      const uint64_t product1 = uint64_t{0xCD9E8D57} * c2[k];
      c0[k] = static_cast<uint32_t>(product1 >> 32) ^ c1[k] ^ key0;
      c1[k] = static_cast<uint32_t>(product1);
      c2[k] = static_cast<uint32_t>(product0 >> 32) ^ c3[k] ^ key1;
      c3[k] = static_cast<uint32_t>(product0);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
}

// Factors 0 (with probability p) and 1 / (1 − p), by the stream's numbers in memory order.
template <class T>
void draw_mask(double p, const Generator& stream, int64_t count, T* mask) {
  const auto threshold = static_cast<uint64_t>(p * 0x1p32);
  const T kept = p < 1 ? static_cast<T>(1 / (1 - p)) : T{0};
  constexpr int64_t kElementsPerTask = 256 * 4 * kBlocks;
  parallel_ranges(count, kElementsPerTask, [&](int64_t begin, int64_t end) {
    Drawn drawn;
    for (int64_t i = begin; i < end; i += 4 * kBlocks) {
      draw(stream, static_cast<uint64_t>(i / 4), drawn);
      for (int64_t k = i; k < std::min(i + 4 * kBlocks, end); ++k) {
        const auto place = static_cast<std::size_t>(k - i);
        // A product instead of a branch that nobody could predict.
        mask[k] = kept * static_cast<T>(drawn[place % 4][place / 4] >= threshold);
      }
    }
  });
}

Tensor apply(const char* name, const Tensor& x, const Shape& mask_shape,
             const DropoutParams& params, Generator& generator) {
  Tensor mask(mask_shape, x.dtype());
  const Generator stream = generator.split(generator.next_u64());
  with_float_type(
      x, [&]<class T>() { draw_mask(params.p, stream, mask.numel(), mask.mutable_data<T>()); });
  const Tensor y = broadcast_binary(kernels::BinaryOp::mul, x, mask, x.shape());
  return autograd::record({name, params}, {x}, y, [mask](const Tensor& dy, autograd::Needs) {
    return autograd::Gradients{broadcast_binary(kernels::BinaryOp::mul, dy, mask, dy.shape())};
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
  CONVKIT_CHECK(x.dim() == spatial + 2 || x.dim() == spatial + 1, ShapeError, name,
                ": the input is ", x.shape(), " with ", x.dim(), " axes; it must be (N, C, ",
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
