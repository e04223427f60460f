#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/nn/module.h"

/// The table torchinfo users know, from one traced forward on zeros in evaluation mode, and what
/// that table lacks: receptive fields, why each output has its size, and which algorithm computes
/// it.
namespace convkit::train {

/// How the planner would compute one direction of a convolution in training.
struct PlannedConvolution {
  std::string direction;  ///< forward, backward_input, backward_weight
  std::string algorithm;  ///< a row of kernels/conv_algorithm.h
  std::string reason;     ///< why: its estimated time, those of the others, and why not the rest
  double seconds = 0.0;   ///< estimated, on two cores
};

/// One row: a layer, an operation outside the layers, or a container of rows that follow it.
struct SummaryRow {
  std::string path;  ///< of the module, empty for the net itself
  std::string type;  ///< of the module, e.g. Conv2d; for an operation its name, e.g. flatten
  int64_t depth = 0;
  bool is_container = false;
  bool is_operation = false;  ///< computed by the module at `path` itself, outside its layers
  bool ran = false;           ///< false for a layer that did nothing (dropout in evaluation)
  bool is_again = false;      ///< a layer used a second time: its parameters count once
  Shape output;
  int64_t parameters = 0;
  int64_t multiply_adds = 0;             ///< of convolutions and linear layers, the whole batch
  int64_t bytes = 0;                     ///< of the output; 0 when computed in place
  std::vector<int64_t> receptive_field;  ///< input elements along each axis; see receptive_field.h
  std::vector<int64_t> stride;           ///< input elements between two neighbours of the output
  std::vector<std::string> explanation;  ///< the output size, axis by axis
  std::string problem;  ///< a convolution's geometry in benchdnn's notation, else empty
  std::vector<PlannedConvolution> plan;  ///< of a convolution: its three directions
};

struct Summary {
  Shape input;
  std::vector<SummaryRow> rows;  ///< in the order of execution
  int64_t parameters = 0;        ///< trained values; one used in two places counts once
  int64_t buffer_values = 0;     ///< saved but not trained
  int64_t multiply_adds = 0;
  int64_t input_bytes = 0;
  int64_t output_bytes = 0;     ///< of all operations: what a training forward keeps, about
  int64_t parameter_bytes = 0;  ///< buffers included
};

/// Runs the net once on zeros of shape `input` (N, C, spatial...). Its layers are left in
/// evaluation mode. Throws what the net throws for such an input.
CONVKIT_API Summary summarize(nn::AnyModule& net, const Shape& input);

struct SummaryDetail {
  bool explain = false;  ///< the formulas of each row, the algorithm of each convolution's forward
  bool plan = false;     ///< the algorithms of all directions, and why
};

/// The table, as wide as it needs to be, and the details below it.
CONVKIT_API std::string to_table(const Summary& summary, const SummaryDetail& detail = {});

}  // namespace convkit::train
