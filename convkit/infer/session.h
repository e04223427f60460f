#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convkit/base/exactness.h"
#include "convkit/graph/graph.h"

/// A trained net made ready to run fast, again and again.
namespace convkit::infer {

struct SessionOptions {
  /// Which algorithms convolutions may use (base/exactness.h).
  Exactness exactness = convkit::exactness();
  /// The most bytes that the values between steps may take in one run; 0: no limit of its own.
  int64_t memory_limit = 0;
  /// For how many sets of input shapes plans are kept; at least 1.
  int64_t most_plans = 16;
};

/// One step of a plan, for people to read.
struct StepDescription {
  std::string name;                     ///< the node's
  std::string op;                       ///< the operator's
  std::vector<std::string> fused = {};  ///< operators taken in, in order
  std::string algorithm = {};           ///< "interpreter" for steps without code of their own
  std::string reason = {};              ///< why this algorithm; may be empty
  Shape output = {};                    ///< of the first output, where it is known
  double gflop = 0;
  int64_t bytes = 0;         ///< of inputs and outputs
  int64_t weight_bytes = 0;  ///< of packed weights and the like
  double seconds = 0;        ///< set by Session::profile
};

/// Runs a graph. The constructor brings the graph into its shortest form (passes/passes.h). The
/// first run with each set of input shapes makes a plan: algorithms are chosen, weights packed
/// (and shared with whatever plan or session has packed the same numbers before), and all values
/// between steps laid into one arena. Later runs with these shapes take no memory from the system.
/// Plans of the shapes used last are kept.
///
/// Copies are handles on the same session. All const functions may be called from several threads
/// at once; each call has an arena of its own. Work runs on convkit's threads (base/thread_pool.h)
/// or those of UseThreadPool; the outputs have the same bits whatever their number.
class CONVKIT_API Session {
 public:
  /// A verified graph. Throws ValueError for options out of range.
  explicit Session(graph::Graph graph, const SessionOptions& options = {});

  /// The outputs for these inputs, in the order of the graph's. Throws ValueError for another
  /// number of inputs or for more memory than set_memory_limit() allows, ShapeError or DTypeError
  /// for an input that the net does not take, and what nodes throw, naming them.
  std::vector<Tensor> run(std::span<const Tensor> inputs) const;
  std::vector<Tensor> run(std::initializer_list<Tensor> inputs) const {
    return run(std::span<const Tensor>(inputs.begin(), inputs.size()));
  }
  /// The first output of a net with one input.
  Tensor operator()(const Tensor& x) const;

  /// Names and types of inputs and outputs, in order.
  const std::vector<graph::Value>& inputs() const;
  const std::vector<graph::Value>& outputs() const;
  /// The optimised graph.
  const graph::Graph& graph() const;

  /// See SessionOptions::memory_limit; holds for later runs.
  void set_memory_limit(int64_t bytes);

  /// The plan for inputs of these shapes, and how many bytes its arena takes.
  std::vector<StepDescription> steps(std::span<const Tensor> inputs) const;
  int64_t arena_bytes(std::span<const Tensor> inputs) const;
  /// The same steps after one run, with the time each took.
  std::vector<StepDescription> profile(std::span<const Tensor> inputs) const;
  /// How many plans are kept at present.
  int64_t plan_count() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace convkit::infer
