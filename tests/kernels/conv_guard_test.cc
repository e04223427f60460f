#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <random>

#include "tests/kernels/conv_check.h"
#include "tests/support/conv_shapes.h"

// The kernels read and write nothing outside of their tensors: these end (or begin) at pages that
// nobody may touch, so that a stray access kills the test.
namespace convkit::test {
namespace {

enum class Flush { end, start };

class GuardedFloats {
 public:
  GuardedFloats(std::size_t count, Flush flush) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(float);
    const std::size_t inner = (bytes + page - 1) / page * page;
    size_ = inner + 2 * page;
    block_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block_ == MAP_FAILED) throw std::bad_alloc();
    char* const start = static_cast<char*>(block_) + page;
    mprotect(block_, page, PROT_NONE);
    mprotect(start + inner, page, PROT_NONE);
    data_ = reinterpret_cast<float*>(flush == Flush::end ? start + inner - bytes : start);
  }
  GuardedFloats(const std::vector<float>& values, Flush flush)
      : GuardedFloats(values.size(), flush) {
    std::copy(values.begin(), values.end(), data_);
  }
  ~GuardedFloats() { munmap(block_, size_); }
  GuardedFloats(const GuardedFloats&) = delete;
  GuardedFloats& operator=(const GuardedFloats&) = delete;
  float* data() { return data_; }

 private:
  void* block_ = nullptr;
  std::size_t size_ = 0;
  float* data_ = nullptr;
};

void expect_no_stray_access(const ConvGeometry& g) {
  const ConvData data(g, 17);
  for (const Flush flush : {Flush::end, Flush::start}) {
    GuardedFloats x(data.x, flush);
    GuardedFloats w(data.w, flush);
    GuardedFloats dy(data.dy, flush);
    GuardedFloats bias(data.bias, flush);
    for (const std::string& target : engine_targets()) {
      const OnTarget limited(target);
      for (const ConvAlgorithm& row : kernels::conv_algorithms())
        for (const Direction direction : kernels::kDirections) {
          if (!row.why_not(g, direction).empty() || row.name == std::string("reference")) continue;
          GuardedFloats to(static_cast<std::size_t>(data.result_count(direction)), flush);
          run(row, direction, g, x.data(), w.data(), dy.data(), bias.data(), to.data());
          // The same as on ordinary memory, whatever the alignment.
          const std::vector<float> plain = result(row, direction, data);
          EXPECT_EQ(std::memcmp(plain.data(), to.data(), plain.size() * sizeof(float)), 0)
              << row.name << " " << name(direction) << " of " << to_string(g) << " on " << target;
        }
    }
  }
}

// A slice of the channels of a larger tensor, which ends where the memory does: the slice has the
// bits of a dense output, and the channels of its neighbours stay what they were.
int expect_slices(const ConvGeometry& g) {
  constexpr int64_t kBefore = 3;
  constexpr int64_t kBehind = 5;
  constexpr float kNeighbour = 1234.5f;
  const ConvData data(g, 23);
  int programs = 0;
  for (const Direction direction : {Direction::forward, Direction::backward_input}) {
    const bool forward = direction == Direction::forward;
    const int64_t channels = forward ? g.out_channels : g.in_channels;
    const int64_t positions = data.result_count(direction) / channels;
    const int64_t pitch = kBefore + channels + kBehind;
    std::mt19937 random(29);
    const std::vector<float> bias = random_floats(channels, random);
    Exact want = exact(direction, data);
    for (std::size_t i = 0; i < want.value.size(); ++i) {
      const auto channel = static_cast<std::size_t>(static_cast<int64_t>(i) % channels);
      // What exact() has added in forward is data's.
      want.value[i] += static_cast<double>(bias[channel]) -
                       (forward ? static_cast<double>(data.bias[channel]) : 0.0);
      want.magnitude[i] += std::fabs(static_cast<double>(bias[channel]));
    }
    want.terms += 1.0;
    for (const Flush flush : {Flush::end, Flush::start})
      for_each_row(g, direction, [&](const ConvAlgorithm& row, const std::string& target) {
        const auto program = kernels::prepare(row, g, direction);
        if (!program->takes_out_pitch()) return;
        ++programs;
        const float* const first_operand = forward ? data.x.data() : data.dy.data();
        std::vector<float> plain(static_cast<std::size_t>(positions * channels), NAN);
        program->pack_and_run(first_operand, data.w.data(), {.bias = bias.data()}, plain.data());
        EXPECT_EQ(difference(plain, want, row.error_growth), "")
            << row.name << " " << name(direction) << " of " << to_string(g) << " on " << target;
        // At the end no neighbours follow the last position, at the start none come before the
        // first.
        const bool at_end = flush == Flush::end;
        const int64_t first = at_end ? kBefore : 0;
        const int64_t floats = positions * pitch - (at_end ? kBehind : kBefore);
        GuardedFloats to(std::vector<float>(static_cast<std::size_t>(floats), kNeighbour), flush);
        program->pack_and_run(first_operand, data.w.data(),
                              {.bias = bias.data(), .out_pitch = pitch}, to.data() + first);
        int64_t wrong = 0;
        for (int64_t i = 0; i < floats; ++i) {
          const int64_t channel = (i - first + pitch) % pitch;
          const bool inside = i >= first && channel < channels;
          const float left =
              inside ? plain[static_cast<std::size_t>((i - first) / pitch * channels + channel)]
                     : kNeighbour;
          wrong += std::bit_cast<uint32_t>(left) != std::bit_cast<uint32_t>(to.data()[i]);
        }
        EXPECT_EQ(wrong, 0) << row.name << " " << name(direction) << " of " << to_string(g)
                            << " on " << target;
      });
  }
  return programs;
}

TEST(ConvAlgorithms, WriteSlicesOfChannelsAndLeaveTheNeighbours) {
  const OnThreads alone(1);
  int programs = 0;
  for (const ConvShape& shape : kConvShapes)
    programs += expect_slices(shrunk(kernels::parse_problem(shape.problem), 200'000));
  std::mt19937 random(31);
  for (int i = 0; i < 100; ++i) programs += expect_slices(random_geometry(random));
  EXPECT_GT(programs, 1000);
}

// Cut into tasks too.
TEST(ConvAlgorithms, WriteSlicesWithTheSameBitsOnAnyNumberOfThreads) {
  for (const char* problem :
       {"mb1ic64ih30oc48oh30kh3ph1", "mb2ic96ih14oc40oh14kh1ph0", "g32mb2ic32ih20oc32oh20kh3ph1",
        "g4mb1ic32ih20oc32oh20kh3ph1", "mb1ic70ih6oc130oh6kh3ph1"})
    for (const int threads : {1, 2, 3}) {
      const OnThreads together(threads);
      EXPECT_GT(expect_slices(kernels::parse_problem(problem)), 0) << problem;
    }
}

TEST(ConvAlgorithms, TouchNothingOutsideTheirTensorsOnTheSharedShapes) {
  const OnThreads alone(1);
  for (const ConvShape& shape : kConvShapes)
    expect_no_stray_access(shrunk(kernels::parse_problem(shape.problem), 300'000));
}

// Many channels: transformed weights that do not stay in a cache, which Winograd takes in parts.
TEST(ConvAlgorithms, TouchNothingOutsideTheirTensorsWithManyChannels) {
  const OnThreads alone(1);
  for (const char* problem : {"mb1ic70ih6oc130oh6kh3ph1", "mb2ic190iw9oc210ow9kw3pw1"})
    expect_no_stray_access(kernels::parse_problem(problem));
}

TEST(ConvAlgorithms, TouchNothingOutsideTheirTensorsOnRandomGeometries) {
  const OnThreads alone(1);
  std::mt19937 random(99);
  for (int i = 0; i < 200; ++i) expect_no_stray_access(random_geometry(random));
}

}  // namespace
}  // namespace convkit::test
