// bench_memory [--threads N] [--channels C]: the kernels that do little arithmetic, beside memcpy.
//
// Each line has the bytes a kernel must read and write (nothing counted twice, and not the line a
// store fetches), by its time, and the share of what memcpy reads and writes per second in the same
// run, over tensors that fit into the second-level cache, into the third, and into neither.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "convkit/base/error.h"
#include "convkit/base/memory.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/batch_norm.h"
#include "convkit/kernels/batch_norm_pool.h"
#include "convkit/kernels/elementwise.h"
#include "convkit/kernels/optimizer_step.h"
#include "convkit/kernels/pool.h"
#include "convkit/kernels/reduce_columns.h"

namespace convkit::bench {
namespace {

constexpr int64_t kTensorBytes[] = {int64_t{128} << 10, int64_t{4} << 20, int64_t{64} << 20};
constexpr int64_t kGrain = 1 << 15;

struct Tensors {
  explicit Tensors(int64_t count) {
    for (Buffer<float>* buffer : {&x, &y, &z, &w}) {
      *buffer = Buffer<float>(static_cast<std::size_t>(count));
      for (int64_t i = 0; i < count; ++i)
        buffer->data()[i] = static_cast<float>(i * 7919 % 1000 - 500) / 500.0F;
    }
    for (int64_t i = 0; i < count; ++i) w.data()[i] = 1.0F;  // second moments are positive
  }
  Buffer<float> x, y, z, w;
};

struct Kernel {
  std::string name;
  double passes;  // bytes moved, in tensors
  Work run;
};

// What batch norms need for each channel, besides tensors.
struct Channels {
  explicit Channels(int64_t channels) {
    const auto count = static_cast<std::size_t>(channels);
    for (auto* values : {&mean, &invstd, &sum, &product, &centre, &variance})
      values->assign(count, 0.5);
    for (auto* values : {&weight, &bias, &totals}) values->assign(count, 0.1F);
  }
  kernels::BatchNormAffine<float> affine() const {
    return {mean.data(), invstd.data(), weight.data(), bias.data()};
  }
  kernels::BatchNormSums sums() { return {sum.data(), product.data()}; }

  std::vector<double> mean, invstd, sum, product, centre, variance;
  std::vector<float> weight, bias, totals;
};

void add_batch_norm(std::vector<Kernel>& list, const kernels::BatchNormGeometry& g,
                    Channels& channels, Tensors& t) {
  using namespace kernels;
  const BatchNormAffine<float> plain = channels.affine();
  BatchNormAffine<float> relu = plain;
  relu.relu = true;
  const BatchNormSums sums = channels.sums();
  double *const centre = channels.centre.data(), *const variance = channels.variance.data();
  float* const totals = channels.totals.data();
  float *const x = t.x.data(), *const y = t.y.data(), *const z = t.z.data();
  list.push_back({"statistics", 1, [=] { batch_norm_statistics(g, x, centre, variance); }});
  list.push_back({"normalise", 2, [=] { batch_norm_forward(g, plain, x, y); }});
  list.push_back({"normalise, ReLU", 2, [=] { batch_norm_forward(g, relu, x, y); }});
  list.push_back(
      {"normalise, add, ReLU", 3, [=] { batch_norm_add_relu_forward(g, plain, x, z, y); }});
  list.push_back(
      {"sums backward, ReLU", 2, [=] { batch_norm_gradient_sums(g, relu, x, y, sums); }});
  list.push_back({"sums backward, add, ReLU", 4,
                  [=] { batch_norm_add_relu_gradient(g, plain, x, y, z, sums, z); }});
  list.push_back({"norm backward, ReLU", 3, [=] { batch_norm_backward(g, relu, x, y, sums, y); }});
  list.push_back({"sums of channels", 1, [=] { column_sums(x, g.rows, g.channels, totals); }});
}

void add_elementwise(std::vector<Kernel>& list, int64_t count, Tensors& t) {
  using namespace kernels;
  float *const x = t.x.data(), *const y = t.y.data(), *const z = t.z.data(), *const w = t.w.data();
  list.push_back({"ReLU", 2, [=] { unary_forward(UnaryOp::relu, {}, count, x, y); }});
  list.push_back({"ReLU backward", 3, [=] { unary_backward(UnaryOp::relu, {}, count, x, y, z); }});
  list.push_back({"SGD, momentum", 5, [=] {
                    parallel_ranges(count, kGrain, [=](int64_t begin, int64_t end) {
                      sgd_step({.lr = 1e-6, .momentum = 0.9}, end - begin, x + begin, y + begin,
                               z + begin);
                    });
                  }});
  list.push_back(
      {"Adam", 7, [=] {
         const AdamStep step{.step_size = 1e-6, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
         parallel_ranges(count, kGrain, [=](int64_t begin, int64_t end) {
           adam_step(step, end - begin, x + begin, y + begin, {z + begin, w + begin, nullptr});
         });
       }});
}

struct PoolCase {
  const char* name;
  int64_t height, width, kernel, stride, pad;
};
constexpr PoolCase kPools[] = {
    {"2×2/2", 16, 16, 2, 2, 0}, {"3×3/2", 16, 16, 3, 2, 1}, {"4/4, 1-D", 1, 256, 4, 4, 0}};

void add_pools(std::vector<Kernel>& list, const kernels::BatchNormGeometry& rows,
               Channels& channels, Tensors& t) {
  using namespace kernels;
  for (const PoolCase& p : kPools) {
    const auto axis = [&](int64_t in) {
      if (in == 1) return sliding_axis({});
      return sliding_axis({.in = in,
                           .out = (in + 2 * p.pad - p.kernel) / p.stride + 1,
                           .kernel = p.kernel,
                           .stride = p.stride,
                           .pad = p.pad});
    };
    PoolGeometry g{
        .batch = rows.rows / (p.height * p.width), .channels = rows.channels, .axes = {}};
    if (g.batch == 0) continue;
    g.axes = {sliding_axis({}), axis(p.height), axis(p.width)};
    const double out =
        static_cast<double>(g.out_positions()) / static_cast<double>(g.in_positions());
    const auto taps = std::make_shared<std::vector<uint8_t>>(
        static_cast<std::size_t>(g.out_positions() * g.channels));
    float *const x = t.x.data(), *const y = t.y.data(), *const z = t.z.data();
    const std::string name = p.name;
    list.push_back({"max pool " + name, 1 + 1.25 * out,
                    [=] { max_pool_forward(g, x, y, {.narrow = taps->data()}); }});
    list.push_back({"max pool " + name + " backward", 1 + 1.25 * out,
                    [=] { max_pool_backward(g, y, {.narrow = taps->data()}, z); }});
    const BatchNormAffine<float> affine = channels.affine();
    const BatchNormSums sums = channels.sums();
    list.push_back({"norm, ReLU, max pool " + name, 1 + 1.25 * out,
                    [=] { batch_norm_pool_forward(g, affine, x, y, {.narrow = taps->data()}); }});
    list.push_back(
        {"  sums backward", 1 + 1.25 * out,
         [=] { batch_norm_pool_gradient_sums(g, affine, x, y, {.narrow = taps->data()}, sums); }});
    list.push_back({"  norm backward, in place", 2 + 1.25 * out, [=] {
                      batch_norm_pool_backward(g, affine, z, y, {.narrow = taps->data()}, sums, z);
                    }});
    list.push_back({"average pool " + name, 1 + out, [=] { avg_pool_forward(g, x, y); }});
    list.push_back(
        {"average pool " + name + " backward", 1 + out, [=] { avg_pool_backward(g, y, z); }});
  }
}

void print_table(int64_t bytes, int64_t channels) {
  const kernels::BatchNormGeometry g{bytes / 4 / channels, channels};
  const int64_t count = g.rows * channels;
  Tensors t(count);
  std::vector<Kernel> list = {{"memcpy", 2, [&] {
                                 parallel_ranges(count, kGrain, [&](int64_t begin, int64_t end) {
                                   std::memcpy(t.y.data() + begin, t.x.data() + begin,
                                               static_cast<std::size_t>(end - begin) * 4);
                                 });
                               }}};
  Channels per_channel(channels);
  add_batch_norm(list, g, per_channel, t);
  add_elementwise(list, count, t);
  add_pools(list, g, per_channel, t);
  std::vector<Rival> rivals;
  for (const Kernel& kernel : list) rivals.push_back({kernel.name, {kernel.run}});
  const std::vector<double> seconds = measure(rivals);
  std::printf("\ntensors of %lld KiB, %lld channels\n", static_cast<long long>(bytes >> 10),
              static_cast<long long>(channels));
  const auto rate = [&](std::size_t i) {
    return list[i].passes * static_cast<double>(count) * 4 / seconds[i] * 1e-9;
  };
  for (std::size_t i = 0; i < list.size(); ++i)
    std::printf("  %-32s %6.1f GB/s %4.0f %%\n", list[i].name.c_str(), rate(i),
                100 * rate(i) / rate(0));
}

}  // namespace
}  // namespace convkit::bench

int main(int argc, char** argv) {
  using namespace convkit;
  bench::start_measuring(&argc, argv);
  int threads = num_threads();
  int64_t channels = 64;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--threads") == 0) threads = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--channels") == 0) channels = std::atoll(argv[i + 1]);
  }
  try {
    CONVKIT_CHECK(channels >= 1, ValueError, "--channels is ", channels, "; it must be at least 1");
    set_num_threads(threads);
    std::printf("%d threads\n", threads);
    for (const int64_t bytes : bench::kTensorBytes) bench::print_table(bytes, channels);
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "bench_memory: %s\n", error.what());
    return 1;
  }
}
