#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "convkit/autograd/record.h"

/// What part of the input an element of a layer's output depends on (Araujo, Norris and Sim,
/// "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019): through a window
/// of kernel k, stride s and dilation d, along each axis,
///   size'   = size + d·(k − 1)·stride
///   stride' = stride · s
/// starting from 1 and 1 at the input. Where paths meet, the larger size holds.
namespace convkit::train {

/// Along each spatial axis.
struct ReceptiveField {
  std::vector<int64_t> size;    ///< input elements seen; padding counts, so it may exceed the input
  std::vector<int64_t> stride;  ///< input elements between two neighbours
  std::vector<int64_t> extent;  ///< of the tensor that has this field

  friend bool operator==(const ReceptiveField&, const ReceptiveField&) = default;
};

/// A window that slides along one axis.
struct Window {
  int64_t in = 0;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad_lo = 0;
  int64_t pad_hi = 0;
  bool ceil_mode = false;
  bool adaptive = false;  ///< kernel and stride follow from the extents
  int64_t out = 0;
};

/// The windows of a convolution or pool, one per spatial axis; std::nullopt for other operations.
CONVKIT_API std::optional<std::vector<Window>> windows_of(const autograd::Event& event);

/// The formula of an output extent with its numbers, e.g.
///   floor((224 + 3 + 3 − 1·(7 − 1) − 1) / 2) + 1 = 112
CONVKIT_API std::string explain(const Window& window);

/// Follows the fields through a net, operation by operation.
class CONVKIT_API FieldTracker {
 public:
  /// `input` is (N, C, spatial...).
  explicit FieldTracker(const Tensor& input);
  /// The field of the operation's output, or null when it does not come from the input. The tracker
  /// keeps the tensors it has seen alive, for it knows them by their memory.
  const ReceptiveField* follow(const autograd::Event& event);

 private:
  std::unordered_map<const void*, ReceptiveField> fields_;
  std::vector<Tensor> seen_;
};

}  // namespace convkit::train
