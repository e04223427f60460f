#pragma once

#include <cstdint>
#include <vector>

#include "convkit/tensor/tensor.h"

/// How well a classifier does: counts gathered batch by batch.
namespace convkit::train {

/// Precision and recall of one class.
struct ClassMetrics {
  double precision = 0;  ///< right / called this class; 0 when it was never called
  double recall = 0;     ///< right / truly of this class; 0 when there is none
  int64_t support = 0;   ///< samples truly of this class
};

/// Rows of `logits` (N, classes) that put their largest value at labels[n]; the first of equal
/// values counts. `labels` (N) is int64. Throws ShapeError.
CONVKIT_API int64_t count_correct(const Tensor& logits, const Tensor& labels);

/// The confusion matrix and what follows from it.
class CONVKIT_API Metrics {
 public:
  explicit Metrics(int64_t classes);

  /// Adds a batch: `logits` (N, classes) float32, `labels` (N) int64, and the mean loss over it.
  /// Throws ShapeError, and ValueError for a label outside [0, classes).
  void add(const Tensor& logits, const Tensor& labels, double mean_loss);

  int64_t samples() const { return samples_; }
  double loss() const;      ///< mean over the samples
  double accuracy() const;  ///< share of samples whose largest logit is the label's
  double top5() const;      ///< share of samples with fewer than 5 logits above the label's
  int64_t classes() const { return classes_; }
  /// Samples of class `truth` taken for class `guess`.
  int64_t confusion(int64_t truth, int64_t guess) const;
  ClassMetrics of_class(int64_t index) const;

 private:
  int64_t classes_;
  int64_t samples_ = 0;
  int64_t in_top5_ = 0;
  double loss_sum_ = 0;
  std::vector<int64_t> confusion_;  ///< truth major
};

}  // namespace convkit::train
