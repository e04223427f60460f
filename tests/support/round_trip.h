#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "convkit/nn/module.h"

/// Nets that leave as ONNX and come back, with weights that a little training has changed: the
/// tests run the small ones, tools/check-export shows all of them to ONNX's checker and to ONNX
/// Runtime as well.
namespace convkit::test {

struct RoundTripCase {
  std::string name;  ///< letters, digits, '_' and '-': it names files, too
  Shape sample;      ///< without the batch
  std::function<nn::AnyModule()> make;
  /// What the error says where the net cannot become a graph; empty: it can.
  std::string refusal = "";
};
void PrintTo(const RoundTripCase& c, std::ostream* out);

/// Every net of the zoo on small samples, in each rank it has; VGG-16 is left out.
std::vector<RoundTripCase> small_nets();
/// Every net of the zoo on the samples of its paper.
std::vector<RoundTripCase> full_nets();
/// Single layers, with each option that changes what is computed.
std::vector<RoundTripCase> single_layers();

/// Three steps of SGD on random numbers, so that neither weights nor running statistics are those
/// of the start; then evaluation mode. A net without parameters is only run.
void train_a_little(nn::AnyModule& net, const Shape& sample);

/// The input all sides are given: standard normal numbers.
Tensor round_trip_input(const Shape& sample, int64_t batch);

}  // namespace convkit::test
