#include <algorithm>
#include <cmath>

#include "convkit/infer/elements.h"
#include "convkit/infer/operators.h"

namespace convkit::infer {
namespace {

struct Box {
  double y0, x0, y1, x1;  // y0 ≤ y1, x0 ≤ x1
  double area() const { return (y1 - y0) * (x1 - x0); }
};

Box box_of(const float* four, bool by_center) {
  const double a = four[0];
  const double b = four[1];
  const double c = four[2];
  const double d = four[3];
  // (x, y, width, height), or two opposite corners (y, x).
  if (by_center) return {b - d / 2, a - c / 2, b + d / 2, a + c / 2};
  return {std::min(a, c), std::min(b, d), std::max(a, c), std::max(b, d)};
}

double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.y1, b.y1) - std::max(a.y0, b.y0);
  const double width = std::min(a.x1, b.x1) - std::max(a.x0, b.x0);
  if (height <= 0 || width <= 0) return 0;
  const double shared = height * width;
  return shared / (a.area() + b.area() - shared);
}

}  // namespace

Tensors run_non_max_suppression(const Call& call) {
  const Tensor& boxes = call.input(0);
  const Tensor& scores = call.input(1);
  CONVKIT_CHECK(boxes.dtype() == DType::float32 && scores.dtype() == DType::float32, DTypeError,
                "boxes are ", boxes.dtype(), " and scores ", scores.dtype(),
                ", but both should be float32");
  CONVKIT_CHECK(boxes.dim() == 3 && scores.dim() == 3 && boxes.size(2) == 4 &&
                    boxes.size(0) == scores.size(0) && boxes.size(1) == scores.size(2),
                ShapeError, "boxes ", boxes.shape(), " and scores ", scores.shape(),
                " should be (batch, boxes, 4) and (batch, classes, boxes)");
  const int64_t most = call.has(2) ? integer_of(call.input(2), "the most boxes") : 0;
  const double most_overlap = call.has(3) ? call.input(3).item() : 0;
  const double least_score = call.has(4) ? call.input(4).item() : -INFINITY;
  const bool by_center = call.flag("center_point_box");
  const int64_t count = boxes.size(1);
  const std::vector<float> corners = boxes.to_vector<float>();
  const std::vector<float> values = scores.to_vector<float>();
  Integers chosen;
  for (int64_t n = 0; n < boxes.size(0); ++n) {
    std::vector<Box> all;
    for (int64_t i = 0; i < count; ++i)
      all.push_back(box_of(corners.data() + (n * count + i) * 4, by_center));
    for (int64_t c = 0; c < scores.size(1); ++c) {
      const float* score = values.data() + (n * scores.size(1) + c) * count;
      Integers order;
      for (int64_t i = 0; i < count; ++i)
        if (score[i] > least_score) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      Integers kept;
      for (const int64_t i : order) {
        if (std::ssize(kept) >= most) break;
        const Box& box = all[static_cast<std::size_t>(i)];
        const bool is_covered = std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
          return overlap(box, all[static_cast<std::size_t>(k)]) > most_overlap;
        });
        if (is_covered) continue;
        kept.push_back(i);
        chosen.insert(chosen.end(), {n, c, i});
      }
    }
  }
  return {from_values(chosen, {std::ssize(chosen) / 3, 3})};
}

}  // namespace convkit::infer
