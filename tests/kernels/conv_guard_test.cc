#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

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

TEST(ConvAlgorithms, TouchNothingOutsideTheirTensorsOnTheSharedShapes) {
  const OnThreads alone(1);
  for (const ConvShape& shape : kConvShapes)
    expect_no_stray_access(shrunk(kernels::parse_problem(shape.problem), 300'000));
}

TEST(ConvAlgorithms, TouchNothingOutsideTheirTensorsOnRandomGeometries) {
  const OnThreads alone(1);
  std::mt19937 random(99);
  for (int i = 0; i < 200; ++i) expect_no_stray_access(random_geometry(random));
}

}  // namespace
}  // namespace convkit::test
