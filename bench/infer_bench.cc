// Runs one net when told to, for bench/inference.py, which lets convkit and a peer take turns:
//
//   bench_infer MODEL.onnx THREADS
//
// Reads commands from its input, and answers each with a line of JSON:
//
//   load
//       {"seconds": of reading the file}
//   run SHAPE N S
//       {"seconds": [of each run]}; N runs at least, and more until S seconds are over
//   answer SHAPE
//       {"values": [the first outputs]}, for the same input as the peer's
//   gflop SHAPE
//       {"gflop": of the steps, two operations for a multiply-add}
//   memory
//       {"bytes": the most this process has taken}
//
// SHAPE is written 1x3x224x224. The first run with a shape makes the net ready for it.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "convkit/base/error.h"
#include "convkit/base/thread_pool.h"
#include "convkit/onnx/load.h"

namespace convkit::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

Shape parse_shape(const std::string& text) {
  std::vector<int64_t> extents;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, 'x');)
    extents.push_back(std::strtoll(word.c_str(), nullptr, 10));
  return Shape(extents);
}

// Numbers of [-1, 1) in row-major order, the same as in the peer's program.
Tensor make_input(const Shape& shape) {
  constexpr uint32_t kFactor = 2654435761U;  // Knuth's multiplicative hash
  constexpr double kHalf = 2147483648.0;
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(static_cast<uint32_t>(i) * kFactor / kHalf - 1);
  return from_values(values, shape);
}

int64_t peak_memory() {
  constexpr int64_t kKibibyte = 1024;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::strtoll(line.c_str() + 6, nullptr, 10) * kKibibyte;
  return 0;
}

class Worker {
 public:
  explicit Worker(std::string path) : path_(std::move(path)) {}

  nlohmann::json answer(std::istream& words) {
    std::string command;
    std::string shape;
    words >> command >> shape;
    if (command == "memory") return {{"bytes", peak_memory()}};
    if (command == "load") {
      const Clock::time_point begin = Clock::now();
      net_.emplace(load(path_));
      return {{"seconds", seconds_since(begin)}};
    }
    const std::vector<Tensor> inputs = {input(shape)};
    if (command == "gflop") {
      double gflop = 0;
      for (const infer::StepDescription& step : net_->steps(inputs)) gflop += step.gflop;
      return {{"gflop", gflop}};
    }
    if (command == "answer") {
      constexpr std::size_t kShown = 16;
      std::vector<float> values = net_->run(inputs)[0].to_vector<float>();
      values.resize(std::min(values.size(), kShown));
      return {{"values", values}};
    }
    CONVKIT_CHECK(command == "run", ValueError, "unknown command '", command, "'");
    std::size_t fewest = 0;
    double limit = 0;
    words >> fewest >> limit;
    std::vector<double> seconds;
    const Clock::time_point start = Clock::now();
    while (seconds.size() < fewest || seconds_since(start) < limit) {
      const Clock::time_point begin = Clock::now();
      static_cast<void>(net_->run(inputs));
      seconds.push_back(seconds_since(begin));
    }
    return {{"seconds", seconds}};
  }

 private:
  const Tensor& input(const std::string& shape) {
    if (shape != shape_) input_ = make_input(parse_shape(shape));
    shape_ = shape;
    return input_;
  }

  std::string path_;
  std::optional<infer::Session> net_;
  std::string shape_;
  Tensor input_;
};

}  // namespace
}  // namespace convkit::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: bench_infer MODEL.onnx THREADS\n";
    return 2;
  }
  try {
    convkit::set_num_threads(std::atoi(argv[2]));
    convkit::bench::Worker worker(argv[1]);
    for (std::string line; std::getline(std::cin, line);) {
      std::istringstream words(line);
      std::cout << worker.answer(words).dump() << std::endl;
    }
  } catch (const convkit::Error& error) {
    std::cerr << "bench_infer: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
