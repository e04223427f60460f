#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convkit/infer/steps/step.h"

/// For the sources of infer only: a graph made ready to run for inputs of given types and shapes.
namespace convkit::infer {

/// Where a value's elements are while the net runs.
struct Place {
  enum class Kind : uint8_t {
    nowhere,   ///< not given, or not read
    tensor,    ///< a Tensor: inputs, constants, outputs, and what generic steps read or write
    in_arena,  ///< `offset` floats into the arena
  };
  Kind kind = Kind::nowhere;
  std::size_t index = 0;  ///< of the tensor
  int64_t offset = 0;
};

/// One step, and where its operands are.
struct PlannedStep {
  graph::Node node;
  std::unique_ptr<Step> step;  ///< null: generic, by the interpreter's function
  std::vector<Place> inputs;
  std::vector<Place> outputs;
  Shape output;                      ///< of a step with code of its own
  std::vector<Facts> facts;          ///< of the outputs of a generic step
  std::vector<std::size_t> release;  ///< tensors that nobody reads any more after this step
  int64_t bytes = 0;                 ///< read and written, without weights
};

/// What is known of each value for inputs of which this is known, without making anything ready.
std::vector<Facts> facts_of_values(const graph::Graph& graph, std::span<const Facts> inputs);

class Plan {
 public:
  /// `graph` is optimised and verified; `inputs` are accepted by it. Throws what making ready
  /// throws; nodes that cannot run fail when they run.
  Plan(const graph::Graph& graph, std::span<const Tensor> inputs, Exactness exactness);

  std::span<const PlannedStep> steps() const { return steps_; }
  int64_t arena_floats() const { return arena_floats_; }

  /// The outputs. `arena` has arena_floats(); `seconds`, if not empty, has room for every step and
  /// receives what it took.
  Tensors run(std::span<const Tensor> inputs, float* arena, std::span<double> seconds) const;

 private:
  std::vector<PlannedStep> steps_;
  int64_t arena_floats_ = 0;
  Tensors tensors_;                       ///< constants at their indices, the others undefined
  std::vector<std::size_t> input_slots_;  ///< indices of the tensors of inputs and outputs
  std::vector<std::size_t> output_slots_;
};

}  // namespace convkit::infer
