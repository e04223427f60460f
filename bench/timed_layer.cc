#include "bench/timed_layer.h"

#include <utility>

#include "bench/random_values.h"
#include "convkit/kernels/conv.h"
#include "convkit/kernels/conv_planner.h"

namespace convkit::bench {
namespace {

using kernels::ConvGeometry;
using kernels::ConvProgram;
using kernels::Direction;

Buffer<float> random_tensor(int64_t count) {
  Buffer<float> tensor(static_cast<std::size_t>(count));
  fill_random(tensor.data(), count);
  return tensor;
}

}  // namespace

int64_t tensor_bytes(const ConvGeometry& g) {
  return static_cast<int64_t>(sizeof(float)) * (input_count(g) + weight_count(g) + output_count(g));
}

TimedLayer::TimedLayer(const ConvGeometry& g, Direction direction)
    : geometry_(g), direction_(direction) {
  const bool from_output = direction == Direction::backward_input;
  const bool to_weight = direction == Direction::backward_weight;
  first_ = random_tensor(from_output ? output_count(g) : input_count(g));
  second_ = random_tensor(to_weight ? output_count(g) : weight_count(g));
  out_ = random_tensor(to_weight     ? weight_count(g)
                       : from_output ? input_count(g)
                                     : output_count(g));
}

Work TimedLayer::call() const {
  return [this] {
    if (direction_ == Direction::forward)
      conv_forward(geometry_, first_.data(), second_.data(), nullptr, out_.data());
    else if (direction_ == Direction::backward_input)
      conv_backward_input(geometry_, first_.data(), second_.data(), out_.data());
    else
      conv_backward_weight(geometry_, first_.data(), second_.data(), out_.data());
  };
}

Work TimedLayer::packed(std::shared_ptr<const ConvProgram> program) const {
  const auto weights =
      std::make_shared<Buffer<float>>(static_cast<std::size_t>(program->packed_floats()));
  if (program->packed_floats() > 0) program->pack(second_.data(), weights->data());
  return [this, program = std::move(program), weights] {
    const bool is_packed = program->packed_floats() > 0;
    program->run(first_.data(), is_packed ? weights->data() : second_.data(), {}, out_.data());
  };
}

Work TimedLayer::packed_call() const {
  return packed(planned_program(geometry_, direction_, {.weights = kernels::Weights::fixed}));
}

std::vector<Rival> TimedLayer::algorithms() const {
  std::vector<Rival> rivals;
  for (const kernels::ConvAlgorithm& row : kernels::conv_algorithms()) {
    if (&row == &kernels::conv_algorithms().back()) continue;
    if (!row.why_not(geometry_, direction_).empty()) continue;
    const std::shared_ptr<const ConvProgram> program = prepare(row, geometry_, direction_);
    rivals.push_back({row.name, {[this, program] {
                        program->pack_and_run(first_.data(), second_.data(), {}, out_.data());
                      }}});
    if (program->packed_floats() > 0)
      rivals.push_back({std::string(row.name) + "_packed", {packed(program)}});
  }
  return rivals;
}

void TimedLayer::make_subnormal() {
  constexpr float kTiny = 1e-39f;  // the smallest normal float is 1.2e-38
  for (std::size_t i = 0; i < first_.size(); ++i) first_[i] *= kTiny;
}

}  // namespace convkit::bench
