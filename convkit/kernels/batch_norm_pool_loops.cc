#include "convkit/kernels/batch_norm_pool_loops.h"

#include <algorithm>

// Machines older than AVX2 run the portable loops; AVX3_DL adds nothing for these.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "convkit/kernels/batch_norm_pool_loops.cc"
#include "hwy/foreach_target.h"
// After it, since all are read once per target:
#include "hwy/highway.h"

#include "convkit/kernels/columns-inl.h"
#include "convkit/kernels/dispatch_loops.h"
#include "convkit/kernels/pool_windows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace convkit::kernels::HWY_NAMESPACE {
namespace {

// A vector of channels of one window: its gradient, and the tap it belongs to.
template <class D>
struct Won {
  hn::VFromD<D> gradient;
  hn::VFromD<hn::RebindToSigned<D>> winner;

  template <class T, class Tap>
  HWY_INLINE void load(D d, const WindowRun& run, const T* dy, const Tap* kept, int64_t c) {
    const hn::RebindToSigned<D> di;
    if (run.source < 0) {
      gradient = hn::Zero(d);
      winner = hn::Set(di, -1);
      return;
    }
    gradient = hn::LoadU(d, dy + run.source + c);
    winner = load_taps(d, kept + run.source + c);
  }
  HWY_INLINE hn::VFromD<D> at(D d, int64_t tap) const {
    const hn::RebindToSigned<D> di;
    const auto wanted = hn::Set(di, static_cast<hn::TFromD<decltype(di)>>(tap));
    return hn::IfThenElseZero(hn::RebindMask(d, hn::Eq(winner, wanted)), gradient);
  }
};

// sum = Σ dn and product = Σ dn·(x − center) over a block of positions.
template <class T, class Tap>
void block_sums(const PooledGradient<T>& from, const Tap* kept, const PoolRange& range,
                const T* center, const T* x, T* sum, T* product) {
  const int64_t w = from.geometry.channels;
  const T* const dy = from.dy;
  std::fill(sum, sum + w, T{0});
  std::fill(product, product + w, T{0});
  for_window_runs(from.geometry, range.begin, range.end, [=](const WindowRun& run) HWY_ATTR {
    const T* const first = x + (run.begin - range.begin) * w;
    for_strips<T>(w, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      Won<decltype(d)> won[kVectors];
      hn::VFromD<decltype(d)> middle[kVectors], total[kVectors], both[kVectors];
      for (int i = 0; i < kVectors; ++i) {
        const int64_t column = c + i * lanes;
        won[i].load(d, run, dy, kept, column);
        middle[i] = hn::LoadU(d, center + column);
        total[i] = hn::LoadU(d, sum + column);
        both[i] = hn::LoadU(d, product + column);
      }
      for (int64_t t = 0; t < run.count; ++t) {
        for (int i = 0; i < kVectors; ++i) {
          const auto v = hn::Sub(hn::LoadU(d, first + t * w + c + i * lanes), middle[i]);
          const auto g = won[i].at(d, run.tap + t);
          total[i] = hn::Add(total[i], g);
          both[i] = hn::MulAdd(v, g, both[i]);
        }
      }
      for (int i = 0; i < kVectors; ++i) {
        hn::StoreU(total[i], d, sum + c + i * lanes);
        hn::StoreU(both[i], d, product + c + i * lanes);
      }
    });
  });
}

template <class T, class Tap>
void sums_of(const PooledGradient<T>& from, const Tap* kept, const PoolRange& range,
             const Coefficients<T>& k, const T* x, T* scratch, const BatchNormSums& sums) {
  const int64_t w = from.geometry.channels;
  T* const sum = scratch;
  T* const product = scratch + w;
  std::fill(sums.dy, sums.dy + w, 0.0);
  std::fill(sums.dy_xhat, sums.dy_xhat + w, 0.0);
  for (int64_t first = range.begin; first < range.end; first += kRowsPerSum) {
    const PoolRange block{first, std::min(range.end, first + kRowsPerSum)};
    block_sums(from, kept, block, k.array(3), x + (first - range.begin) * w, sum, product);
    for (int64_t c = 0; c < w; ++c) sums.dy[c] += static_cast<double>(sum[c]);
    for (int64_t c = 0; c < w; ++c) sums.dy_xhat[c] += static_cast<double>(product[c]);
  }
}

template <class T, class Tap>
void backward_of(const PooledGradient<T>& from, const Tap* kept, const PoolRange& range,
                 const Coefficients<T>& k, const T* x, T* dx) {
  const int64_t w = from.geometry.channels;
  const T* const dy = from.dy;
  const T* const slopes[] = {k.array(0), k.array(1), k.array(2), k.array(3)};
  for_window_runs(from.geometry, range.begin, range.end, [=](const WindowRun& run) HWY_ATTR {
    const int64_t first = (run.begin - range.begin) * w;
    for_strips<T>(w, [=](auto d, auto vectors, int64_t c) HWY_ATTR {
      constexpr int kVectors = decltype(vectors)::value;
      const auto lanes = static_cast<int64_t>(hn::Lanes(d));
      for (int i = 0; i < kVectors; ++i) {
        const int64_t column = c + i * lanes;
        Won<decltype(d)> won;
        won.load(d, run, dy, kept, column);
        const auto a = hn::LoadU(d, slopes[0] + column);
        const auto b = hn::LoadU(d, slopes[1] + column);
        const auto constant = hn::LoadU(d, slopes[2] + column);
        const auto center = hn::LoadU(d, slopes[3] + column);
        for (int64_t t = 0; t < run.count; ++t) {
          const int64_t at = first + t * w + column;
          const auto v = hn::Sub(hn::LoadU(d, x + at), center);
          const auto rest = hn::MulAdd(v, b, constant);
          hn::StoreU(hn::MulAdd(won.at(d, run.tap + t), a, rest), d, dx + at);
        }
      }
    });
  });
}

template <class T>
void gradient_sums(const PooledGradient<T>& from, const PoolRange& range, const Coefficients<T>& k,
                   const T* x, T* scratch, const BatchNormSums& sums) {
  if (from.taps.narrow != nullptr)
    return sums_of(from, from.taps.narrow, range, k, x, scratch, sums);
  sums_of(from, from.taps.wide, range, k, x, scratch, sums);
}

template <class T>
void backward(const PooledGradient<T>& from, const PoolRange& range, const Coefficients<T>& k,
              const T* x, T* dx) {
  if (from.taps.narrow != nullptr) return backward_of(from, from.taps.narrow, range, k, x, dx);
  backward_of(from, from.taps.wide, range, k, x, dx);
}

template <class T>
BatchNormPoolLoops<T> loops_of() {
  return {&gradient_sums<T>, &backward<T>};
}

BatchNormPoolLoops<float> loops() { return loops_of<float>(); }

}  // namespace
}  // namespace convkit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace convkit::kernels {

CONVKIT_DISPATCH_LOOPS(BatchNormPoolLoops, batch_norm_pool_loops)

}  // namespace convkit::kernels
#endif  // HWY_ONCE
