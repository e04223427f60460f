#include "convkit/train/metrics.h"

#include <algorithm>

namespace convkit::train {
namespace {

constexpr int64_t kTop = 5;

void check_batch(const Tensor& logits, const Tensor& labels) {
  CONVKIT_CHECK(logits.defined() && labels.defined(), ValueError,
                "metrics: the logits or the labels are undefined");
  CONVKIT_CHECK(logits.dim() == 2 && labels.dim() == 1 && labels.size(0) == logits.size(0) &&
                    logits.size(1) >= 1,
                ShapeError, "metrics: logits ", logits.shape(), " and labels ", labels.shape(),
                " do not fit; they must be (N, classes) and (N)");
}

int64_t largest(const float* row, int64_t classes) {
  int64_t best = 0;
  for (int64_t c = 1; c < classes; ++c)
    if (row[c] > row[best]) best = c;
  return best;
}

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

int64_t count_correct(const Tensor& logits, const Tensor& labels) {
  check_batch(logits, labels);
  const auto* rows = logits.data<float>();
  const auto* truth = labels.data<int64_t>();
  const int64_t classes = logits.size(1);
  int64_t correct = 0;
  for (int64_t n = 0; n < logits.size(0); ++n)
    correct += largest(rows + n * classes, classes) == truth[n] ? 1 : 0;
  return correct;
}

Metrics::Metrics(int64_t classes) : classes_(classes) {
  CONVKIT_CHECK(classes >= 1, ValueError, "metrics: ", classes, " classes; at least 1 is needed");
  confusion_.assign(static_cast<std::size_t>(classes * classes), 0);
}

void Metrics::add(const Tensor& logits, const Tensor& labels, double mean_loss) {
  check_batch(logits, labels);
  CONVKIT_CHECK(logits.size(1) == classes_, ShapeError, "metrics: logits ", logits.shape(), " for ",
                classes_, " classes");
  const auto* rows = logits.data<float>();
  const auto* truths = labels.data<int64_t>();
  const int64_t count = logits.size(0);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t truth = truths[n];
    CONVKIT_CHECK(truth >= 0 && truth < classes_, ValueError, "metrics: label ", truth,
                  " is outside the ", classes_, " classes");
    const float* row = rows + n * classes_;
    ++confusion_[static_cast<std::size_t>(truth * classes_ + largest(row, classes_))];
    const int64_t above =
        std::count_if(row, row + classes_, [=](float value) { return !(value <= row[truth]); });
    in_top5_ += above < kTop ? 1 : 0;
  }
  samples_ += count;
  loss_sum_ += mean_loss * static_cast<double>(count);
}

double Metrics::loss() const {
  return samples_ == 0 ? 0.0 : loss_sum_ / static_cast<double>(samples_);
}

double Metrics::accuracy() const {
  int64_t correct = 0;
  for (int64_t c = 0; c < classes_; ++c) correct += confusion(c, c);
  return share(correct, samples_);
}

double Metrics::top5() const { return share(in_top5_, samples_); }

int64_t Metrics::confusion(int64_t truth, int64_t guess) const {
  return confusion_[static_cast<std::size_t>(truth * classes_ + guess)];
}

ClassMetrics Metrics::of_class(int64_t index) const {
  int64_t called = 0;
  int64_t support = 0;
  for (int64_t other = 0; other < classes_; ++other) {
    called += confusion(other, index);
    support += confusion(index, other);
  }
  const int64_t right = confusion(index, index);
  return {.precision = share(right, called), .recall = share(right, support), .support = support};
}

}  // namespace convkit::train
