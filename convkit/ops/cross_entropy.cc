#include <memory>
#include <vector>

#include "convkit/autograd/record.h"
#include "convkit/base/thread_pool.h"
#include "convkit/kernels/softmax.h"
#include "convkit/ops/dispatch.h"
#include "convkit/ops/loss.h"

/// The losses over classes. Classes are axis 1, innermost in memory, so that logits are dense rows
/// (one per position) of C; labels come in the rows' order, which is the logical order of a tensor
/// shaped as x without C.
namespace convkit::ops {
namespace {

using autograd::Gradients;
using autograd::Needs;
using autograd::Saved;

constexpr int64_t kRowsPerTask = 256;

struct Rows {
  int64_t count;
  int64_t classes;
  Shape positions;  ///< x's shape without the classes
};

Rows rows_of(const char* name, const Tensor& x) {
  check_floating(name, x);
  CONVKIT_CHECK(x.dim() >= 1, ShapeError, name,
                ": the input is a scalar; it must be (N, C), (N, C, positions...) or (C)");
  const int64_t axis = x.dim() == 1 ? 0 : 1;
  const int64_t classes = x.size(axis);
  CONVKIT_CHECK(classes >= 1, ShapeError, name, ": the input ", x.shape(), " has no classes");
  return {x.numel() / classes, classes, x.shape().without(axis)};
}

void check_weight(const char* name, const Tensor& x, const Tensor& weight, int64_t classes) {
  if (!weight.defined()) return;
  check_same_type(name, x, weight, "weight");
  CONVKIT_CHECK(weight.dim() == 1 && weight.size(0) == classes, ShapeError, name, ": weight is ",
                weight.shape(), "; it must have one value per class: ", classes);
  CONVKIT_CHECK(!weight.requires_grad(), GradError, name,
                ": weight is a constant and cannot require a gradient; detach() it");
}

// The labels in the order of the rows, checked.
std::vector<int64_t> labels_of(const char* name, const Rows& rows, const Tensor& target,
                               int64_t ignore_index) {
  CONVKIT_CHECK(!is_floating(target.dtype()) && target.dtype() != DType::boolean, DTypeError, name,
                ": the target is ", target.dtype(),
                "; class indices are integers (int64): convert it with to(DType::int64)");
  CONVKIT_CHECK(target.shape() == rows.positions, ShapeError, name, ": the target is ",
                target.shape(), "; class indices must be shaped as the input without its ",
                rows.classes, " classes: ", rows.positions);
  std::vector<int64_t> labels = target.to(DType::int64).to_vector<int64_t>();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    CONVKIT_CHECK(labels[i] == ignore_index || (labels[i] >= 0 && labels[i] < rows.classes),
                  ValueError, name, ": target[", i, "] is ", labels[i], ", but there are ",
                  rows.classes, " classes, 0 to ", rows.classes - 1,
                  "; widen the last layer, or mark what is not to count with ignore_index (",
                  ignore_index, ")");
  }
  return labels;
}

template <class T>
std::vector<T> weights_of(const Tensor& weight, int64_t classes) {
  if (weight.defined()) return weight.to_vector<T>();
  return std::vector<T>(static_cast<std::size_t>(classes), T{1});
}

// Each row's own losses as the reduction wants them; `total_weight` divides a mean.
template <class T>
Tensor reduced(const std::vector<T>& losses, const Shape& positions, Reduction reduction,
               double total_weight) {
  if (reduction == Reduction::none) return from_values(losses, positions);
  double total = 0;
  for (const T loss : losses) total += static_cast<double>(loss);
  if (reduction == Reduction::mean) total /= total_weight;
  return full({}, total, kDTypeOf<T>);
}

// The gradient that flows into each row's loss.
template <class T>
std::vector<T> row_gradients(const Tensor& dy, int64_t rows, Reduction reduction,
                             double total_weight) {
  if (reduction == Reduction::none) return dy.to_vector<T>();
  const double scale = reduction == Reduction::mean ? 1 / total_weight : 1;
  return std::vector<T>(static_cast<std::size_t>(rows), static_cast<T>(dy.item() * scale));
}

// How much of each class a row's target holds, weights and smoothing included.
template <class T>
struct IndexTarget {
  std::vector<int64_t> labels;
  int64_t ignored;
  std::vector<T> weights;
  T smoothing;   ///< ε
  T weight_sum;  ///< Σ_c w_c

  bool counts(int64_t row) const { return labels[static_cast<std::size_t>(row)] != ignored; }
  T label_share(int64_t row) const {
    return (1 - smoothing) *
           weights[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])];
  }
  T spread_share(int64_t c) const {
    return smoothing / static_cast<T>(weights.size()) * weights[static_cast<std::size_t>(c)];
  }
  T whole(int64_t row) const {
    return label_share(row) + smoothing / static_cast<T>(weights.size()) * weight_sum;
  }
};

template <class T>
T log_probability(T x, const kernels::RowStatistics<T>& row) {
  return (x - row.largest) - row.log_sum;
}

template <class T>
std::shared_ptr<std::vector<kernels::RowStatistics<T>>> statistics_of(const Rows& rows,
                                                                      const Tensor& x) {
  auto statistics = std::make_shared<std::vector<kernels::RowStatistics<T>>>(
      static_cast<std::size_t>(rows.count));
  kernels::softmax_statistics(rows.count, rows.classes, x.data<T>(), statistics->data());
  return statistics;
}

template <class T>
Tensor with_indices(const Tensor& x, const Tensor& target, const CrossEntropyParams& params) {
  const Rows rows = rows_of("cross_entropy", x);
  auto wanted = std::make_shared<IndexTarget<T>>();
  wanted->labels = labels_of("cross_entropy", rows, target, params.ignore_index);
  wanted->ignored = params.ignore_index;
  wanted->weights = weights_of<T>(params.weight, rows.classes);
  wanted->smoothing = static_cast<T>(params.label_smoothing);
  for (const T w : wanted->weights) wanted->weight_sum += w;
  const auto statistics = statistics_of<T>(rows, x);
  double total_weight = 0;
  for (const int64_t label : wanted->labels)
    if (label != params.ignore_index)
      total_weight += static_cast<double>(wanted->weights[static_cast<std::size_t>(label)]);

  std::vector<T> losses(static_cast<std::size_t>(rows.count));
  const T* const logits = x.data<T>();
  parallel_ranges(rows.count, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      if (!wanted->counts(r)) continue;
      const auto i = static_cast<std::size_t>(r);
      const T* const row = logits + r * rows.classes;
      T loss = -wanted->label_share(r) * log_probability(row[wanted->labels[i]], (*statistics)[i]);
      if (params.label_smoothing > 0)
        for (int64_t c = 0; c < rows.classes; ++c)
          loss -= wanted->spread_share(c) * log_probability(row[c], (*statistics)[i]);
      losses[i] = loss;
    }
  });
  const Tensor y = reduced(losses, rows.positions, params.reduction, total_weight);

  const auto backward = [=, x = Saved(x)](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (!needs[0]) return grads;
    const std::vector<T> flowing = row_gradients<T>(dy, rows.count, params.reduction, total_weight);
    std::vector<T> scale(flowing.size(), T{0});
    for (int64_t r = 0; r < rows.count; ++r) {
      const auto i = static_cast<std::size_t>(r);
      if (wanted->counts(r)) scale[i] = flowing[i] * wanted->whole(r);
    }
    grads[0] = empty_like(x.get());
    T* const dx = grads[0].template mutable_data<T>();
    kernels::scaled_softmax(rows.count, rows.classes, x.get().template data<T>(),
                            statistics->data(), scale.data(), dx);
    parallel_ranges(rows.count, kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        if (!wanted->counts(r)) {
          std::fill_n(dx + r * rows.classes, rows.classes, T{0});
          continue;
        }
        const auto i = static_cast<std::size_t>(r);
        T* const row = dx + r * rows.classes;
        row[wanted->labels[i]] -= flowing[i] * wanted->label_share(r);
        if (params.label_smoothing > 0)
          for (int64_t c = 0; c < rows.classes; ++c) row[c] -= flowing[i] * wanted->spread_share(c);
      }
    });
    return grads;
  };
  return autograd::record({"cross_entropy", params}, {x, target}, y, backward);
}

template <class T>
Tensor with_probabilities(const Tensor& x, const Tensor& target, const CrossEntropyParams& params) {
  const Rows rows = rows_of("cross_entropy", x);
  check_same_type("cross_entropy", x, target, "the target");
  const std::vector<T> weights = weights_of<T>(params.weight, rows.classes);
  const auto statistics = statistics_of<T>(rows, x);
  const T keep = static_cast<T>(1 - params.label_smoothing);
  const T spread = static_cast<T>(params.label_smoothing / static_cast<double>(rows.classes));
  std::vector<T> losses(static_cast<std::size_t>(rows.count));
  auto shares = std::make_shared<std::vector<T>>(losses.size());  // Σ_c of a row's target
  const T* const logits = x.data<T>();
  const T* const wanted = target.data<T>();
  parallel_ranges(rows.count, kRowsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const auto i = static_cast<std::size_t>(r);
      T loss = 0;
      T share = 0;
      for (int64_t c = 0; c < rows.classes; ++c) {
        const int64_t k = r * rows.classes + c;
        const T q = weights[static_cast<std::size_t>(c)] * (keep * wanted[k] + spread);
        loss -= q * log_probability(logits[k], (*statistics)[i]);
        share += q;
      }
      losses[i] = loss;
      (*shares)[i] = share;
    }
  });
  const auto positions = static_cast<double>(rows.count);
  const Tensor y = reduced(losses, rows.positions, params.reduction, positions);

  const auto backward = [=, x = Saved(x), target = Saved(target)](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    const std::vector<T> flowing = row_gradients<T>(dy, rows.count, params.reduction, positions);
    if (needs[0]) {
      std::vector<T> scale(flowing.size());
      for (std::size_t i = 0; i < scale.size(); ++i) scale[i] = flowing[i] * (*shares)[i];
      grads[0] = empty_like(x.get());
      kernels::scaled_softmax(rows.count, rows.classes, x.get().template data<T>(),
                              statistics->data(), scale.data(),
                              grads[0].template mutable_data<T>());
    }
    if (needs[1]) grads[1] = empty_like(x.get());
    T* const dx = needs[0] ? grads[0].template mutable_data<T>() : nullptr;
    T* const dq = needs[1] ? grads[1].template mutable_data<T>() : nullptr;
    const T* const from = x.get().template data<T>();
    const T* const q = target.get().template data<T>();
    parallel_ranges(
        rows.count * rows.classes, kRowsPerTask * rows.classes, [&](int64_t begin, int64_t end) {
          for (int64_t k = begin; k < end; ++k) {
            const auto i = static_cast<std::size_t>(k / rows.classes);
            const T w = weights[static_cast<std::size_t>(k % rows.classes)];
            if (dx != nullptr) dx[k] -= flowing[i] * w * (keep * q[k] + spread);
            if (dq != nullptr)
              dq[k] = -flowing[i] * w * keep * log_probability(from[k], (*statistics)[i]);
          }
        });
    return grads;
  };
  return autograd::record({"cross_entropy", params}, {x, target}, y, backward);
}

template <class T>
Tensor nll_as(const Tensor& x, const Tensor& target, const NllLossParams& params) {
  const Rows rows = rows_of("nll_loss", x);
  const auto labels = std::make_shared<const std::vector<int64_t>>(
      labels_of("nll_loss", rows, target, params.ignore_index));
  const std::vector<T> weights = weights_of<T>(params.weight, rows.classes);
  std::vector<T> losses(labels->size(), T{0});
  double total_weight = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const int64_t label = (*labels)[i];
    if (label == params.ignore_index) continue;
    const T w = weights[static_cast<std::size_t>(label)];
    losses[i] = -w * x.data<T>()[static_cast<int64_t>(i) * rows.classes + label];
    total_weight += static_cast<double>(w);
  }
  const Tensor y = reduced(losses, rows.positions, params.reduction, total_weight);
  const auto backward = [=, shape = x.shape()](const Tensor& dy, Needs needs) {
    Gradients grads(2);
    if (!needs[0]) return grads;
    const std::vector<T> flowing = row_gradients<T>(dy, rows.count, params.reduction, total_weight);
    grads[0] = zeros(shape, dy.dtype());
    T* const dx = grads[0].template mutable_data<T>();
    for (std::size_t i = 0; i < flowing.size(); ++i) {
      const int64_t label = (*labels)[i];
      if (label != params.ignore_index)
        dx[static_cast<int64_t>(i) * rows.classes + label] =
            -flowing[i] * weights[static_cast<std::size_t>(label)];
    }
    return grads;
  };
  return autograd::record({"nll_loss", params}, {x, target}, y, backward);
}

}  // namespace

Tensor cross_entropy(const Tensor& x, const Tensor& target, const CrossEntropyParams& params) {
  const Rows rows = rows_of("cross_entropy", x);
  check_weight("cross_entropy", x, params.weight, rows.classes);
  CONVKIT_CHECK(params.label_smoothing >= 0 && params.label_smoothing <= 1, ValueError,
                "cross_entropy: label_smoothing (", params.label_smoothing,
                ") must be between 0 and 1");
  const bool probabilities = target.shape() == x.shape();
  CONVKIT_CHECK(!probabilities || is_floating(target.dtype()), DTypeError,
                "cross_entropy: a target of the input's shape ", x.shape(),
                " holds probabilities, which are floating, not ", target.dtype(),
                "; class indices are shaped ", rows.positions);
  return with_float_type(x, [&]<class T>() {
    return probabilities ? with_probabilities<T>(x, target, params)
                         : with_indices<T>(x, target, params);
  });
}

Tensor nll_loss(const Tensor& x, const Tensor& target, const NllLossParams& params) {
  check_weight("nll_loss", x, params.weight, rows_of("nll_loss", x).classes);
  return with_float_type(x, [&]<class T>() { return nll_as<T>(x, target, params); });
}

}  // namespace convkit::ops
