#pragma once

#include <cmath>
#include <string>
#include <string_view>

#include "convkit/nn/functions.h"

/// The weights of the golden nets (topic "nets"), which are too large to store: the formula of
/// tools/golden/net_weights.py, where it is written out.
namespace convkit::test {

/// Number i of stream `key`, in [-1, 1).
inline double formula_uniform(std::string_view key, uint64_t i) {
  uint64_t h = 14695981039346656037ULL;  // FNV-1a
  for (const char c : key) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  uint64_t z = h + i * 0x9E3779B97F4A7C15ULL + 0x9E3779B97F4A7C15ULL;  // splitmix64
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 40) / 0x1p24 * 2.0 - 1.0;
}

/// The tensor of a state_dict key, or the batch "input".
inline Tensor formula_tensor(const std::string& key, const Shape& shape) {
  if (key.ends_with("num_batches_tracked")) return zeros(shape, DType::int64);
  const int64_t count = shape.numel();
  double offset = 0;
  double scale = 0.1;
  if (key == "input") scale = 1;
  if (key.ends_with(".weight") && shape.dim() >= 2) {
    const int64_t fan_in = count / shape[0];
    scale = std::sqrt(3.0 / static_cast<double>(fan_in)) * std::sqrt(2.0);
  }
  if (key.ends_with(".weight") && shape.dim() == 1) {
    offset = 1;
    scale = 0.2;
  }
  if (key.ends_with(".running_var")) {
    offset = 1;
    scale = 0.5;
  }
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(offset + scale * formula_uniform(key, i));
  return from_values(values, shape);
}

/// Sets every parameter and buffer by the formula.
template <class M>
void fill_by_formula(M& net) {
  nn::StateDict state;
  for (const auto& [key, tensor] : nn::state_dict(net))
    state.emplace_back(key, formula_tensor(key, tensor.shape()));
  nn::load_state_dict(net, state);
}

}  // namespace convkit::test
