#include <algorithm>
#include <array>
#include <map>

#include "convkit/base/conv_size.h"
#include "convkit/infer/elements.h"
#include "convkit/infer/kernel_function.h"
#include "convkit/infer/operators.h"
#include "convkit/infer/window.h"
#include "convkit/kernels/conv.h"
#include "convkit/ops/linear.h"

namespace convkit::infer {
namespace {

// Hours of work; letters that all terms have for themselves would make years of a short file.
constexpr double kMostProducts = 0x1p40;

Shape output_shape(int64_t batch, int64_t channels, const Integers& spatial) {
  Integers extents = {batch, channels};
  extents.insert(extents.end(), spatial.begin(), spatial.end());
  return Shape(extents);
}

// Checks what a convolution and its transpose have in common; returns the kernel's extents.
Integers checked_kernel(const Call& call, const Tensor& x, const Tensor& w) {
  need_floating(call, 0);
  CONVKIT_CHECK(x.dtype() == w.dtype(), DTypeError, "the input is ", x.dtype(), ", the weight ",
                w.dtype(), "; they must have one type");
  CONVKIT_CHECK(x.dim() >= 3 && x.dim() <= 2 + kernels::kAxes, ShapeError,
                "the input has the shape ", x.shape(), "; a convolution takes (N, C) and 1 to ",
                kernels::kAxes, " spatial axes");
  CONVKIT_CHECK(w.dim() == x.dim(), ShapeError, "the weight has the shape ", w.shape(),
                ", but the input ", x.shape(), " needs one of ", x.dim(), " axes");
  Integers kernel(w.shape().begin() + 2, w.shape().end());
  const Integers& told = call.integers("kernel_shape");
  CONVKIT_CHECK(told.empty() || told == kernel, ShapeError, "kernel_shape ", told,
                " is not that of the weight, ", kernel);
  CONVKIT_CHECK(call.integer("group") >= 1, ValueError, "group (", call.integer("group"),
                ") must be at least 1");
  return kernel;
}

void check_bias(const Call& call, int64_t channels, DType dtype) {
  if (!call.has(2)) return;
  CONVKIT_CHECK(call.input(2).shape() == Shape({channels}), ShapeError, "the bias has the shape ",
                call.input(2).shape(), ", but there are ", channels, " output channels");
  CONVKIT_CHECK(call.input(2).dtype() == dtype, DTypeError, "the bias is ", call.input(2).dtype(),
                ", the input ", dtype);
}

template <class T>
void add_bias(Tensor& y, const Tensor& bias) {
  if (!bias.defined()) return;
  const int64_t channels = bias.numel();
  T* values = y.mutable_data<T>();
  const T* b = bias.data<T>();
  for (int64_t i = 0; i < y.numel(); ++i) values[i] += b[i % channels];
}

// --- matrix products ---

// A matrix somewhere in memory as a dense one.
Tensor dense_matrix(const Tensor& source, int64_t offset, int64_t rows, int64_t columns,
                    int64_t row_stride, int64_t column_stride) {
  Tensor matrix = make({rows, columns}, source.dtype());
  const std::size_t item = item_size(source.dtype());
  copy({rows, columns}, item, place_of(matrix),
       {advance(source.raw_data(), offset, item), {row_stride, column_stride}});
  return matrix;
}

// y (M, N) = a (M, K) · bᵀ with b (N, K); any type.
Tensor product(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(0);
  const int64_t k = a.size(1);
  const int64_t n = b.size(0);
  if (uses_reals(a.dtype())) {
    if (k == 0 || m == 0 || n == 0) {
      Tensor nothing = make({m, n}, a.dtype());
      nothing.fill(0);
      return nothing;
    }
    return ops::linear(for_kernels(a), for_kernels(b)).to(a.dtype());
  }
  Tensor y = make({m, n}, a.dtype());
  const auto left = a.to(DType::int64).to_vector<int64_t>();
  const auto right = b.to(DType::int64).to_vector<int64_t>();
  for (int64_t row = 0; row < m; ++row)
    for (int64_t column = 0; column < n; ++column) {
      uint64_t sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += static_cast<uint64_t>(left[static_cast<std::size_t>(row * k + i)]) *
               static_cast<uint64_t>(right[static_cast<std::size_t>(column * k + i)]);
      const auto value = static_cast<int64_t>(sum);
      store(y.dtype(), y.raw_mutable_data(), row * n + column, 1, 1, &value);
    }
  return y;
}

Shape without_last_two(const Shape& shape) {
  return Shape(Integers(shape.begin(), shape.end() - 2));
}

}  // namespace

Tensors run_conv(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& w = call.input(1);
  const Windows windows = windows_of(call, x.shape(), checked_kernel(call, x, w));
  const int64_t groups = call.integer("group");
  CONVKIT_CHECK(w.size(1) <= kMaxWindow && groups <= kMaxWindow && x.size(1) == w.size(1) * groups,
                ShapeError, "the input ", x.shape(), " has ", x.size(1),
                " channels, but the weight ", w.shape(), " in ", groups, " groups takes ",
                w.size(1), " · ", groups);
  check_bias(call, w.size(0), x.dtype());
  const Tensor in = for_kernels(x);
  const Tensor weight = for_kernels(w);
  const Tensor bias = call.has(2) ? for_kernels(call.input(2)) : Tensor();
  Tensor y = make(output_shape(x.size(0), w.size(0), windows.out), in.dtype());
  if (y.numel() == 0) return {y.to(x.dtype())};
  const kernels::ConvGeometry g = conv_geometry(windows, x.size(0), x.size(1), w.size(0), groups);
  in_type(in, [&]<class T>() {
    kernels::conv_forward(g, in.data<T>(), weight.data<T>(),
                          bias.defined() ? bias.data<T>() : nullptr, y.mutable_data<T>());
  });
  return {y.to(x.dtype())};
}

// The gradient of the convolution whose output is x, with respect to its input.
Tensors run_conv_transpose(const Call& call) {
  const Tensor& x = call.input(0);
  const Tensor& w = call.input(1);
  const Integers kernel = checked_kernel(call, x, w);
  const int64_t groups = call.integer("group");
  CONVKIT_CHECK(x.size(1) == w.size(0) && w.size(0) % groups == 0, ShapeError, "the input ",
                x.shape(), " has ", x.size(1), " channels, but the weight ", w.shape(), " takes ",
                w.size(0), " in ", groups, " groups");
  CONVKIT_CHECK(groups <= kMaxWindow && w.size(1) <= kMaxWindow, ValueError, "the weight ",
                w.shape(), " in ", groups, " groups has too many channels");
  const int64_t channels = w.size(1) * groups;
  check_bias(call, channels, x.dtype());
  const Windows windows = transposed_windows(call, x.shape(), kernel);
  const Tensor in = for_kernels(x);
  const Tensor weight = for_kernels(w);
  const Tensor bias = call.has(2) ? for_kernels(call.input(2)) : Tensor();
  Tensor y = make(output_shape(x.size(0), channels, windows.in), in.dtype());
  if (y.numel() == 0) return {y.to(x.dtype())};
  const kernels::ConvGeometry g = conv_geometry(windows, x.size(0), channels, x.size(1), groups);
  in_type(in, [&]<class T>() {
    kernels::conv_backward_input(g, in.data<T>(), weight.data<T>(), y.mutable_data<T>());
    add_bias<T>(y, bias);
  });
  return {y.to(x.dtype())};
}

Tensors run_gemm(const Call& call) {
  const Tensor& a = call.input(0);
  const Tensor& b = call.input(1);
  CONVKIT_CHECK(a.dim() == 2 && b.dim() == 2, ShapeError, "the operands have the shapes ",
                a.shape(), " and ", b.shape(), "; Gemm takes matrices");
  CONVKIT_CHECK(a.dtype() == b.dtype(), DTypeError, "the operands are ", a.dtype(), " and ",
                b.dtype());
  const auto oriented = [](const Tensor& matrix, bool transposed) {
    const int64_t columns = matrix.size(1);
    return transposed ? dense_matrix(matrix, 0, columns, matrix.size(0), 1, columns) : matrix;
  };
  const Tensor left = oriented(a, call.flag("transA"));
  const Tensor right = oriented(b, !call.flag("transB"));
  CONVKIT_CHECK(left.size(1) == right.size(1), ShapeError, "the operands ", left.shape(), " and ",
                Shape({right.size(1), right.size(0)}), " cannot be multiplied: ", left.size(1),
                " columns, ", right.size(1), " rows");
  const double alpha = call.number("alpha");
  const double beta = call.number("beta");
  const Tensor ab = product(left, right);
  if (!call.has(2) && alpha == 1) return {ab};
  Tensor y = make(ab.shape(), ab.dtype());
  const Tensor c = call.has(2) ? call.input(2) : zeros({}, ab.dtype());
  CONVKIT_CHECK(broadcast_shapes(ab.shape(), c.shape(), "Gemm") == ab.shape(), ShapeError,
                "C has the shape ", c.shape(), ", which does not stretch to ", ab.shape());
  for_each_row(ab.shape().to_vector(),
               {memory_strides(ab.shape()), stretched_strides(c.shape(), ab.shape())},
               [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
                 for (int64_t i = 0; i < count; ++i) {
                   const int64_t at = offsets[0] + i * steps[0];
                   double value = 0;
                   double added = 0;
                   load(ab.dtype(), ab.raw_data(), at, 1, 1, &value);
                   load(c.dtype(), c.raw_data(), offsets[1] + i * steps[1], 1, 1, &added);
                   value = alpha * value + beta * added;
                   store(y.dtype(), y.raw_mutable_data(), at, 1, 1, &value);
                 }
               });
  return {y};
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  CONVKIT_CHECK(a.dtype() == b.dtype(), DTypeError, "the operands are ", a.dtype(), " and ",
                b.dtype(), "; they must have one type");
  CONVKIT_CHECK(a.dim() >= 1 && b.dim() >= 1, ShapeError, "MatMul takes no scalars");
  const Tensor left = a.dim() == 1 ? a.reshaped({1, a.numel()}) : a;
  const Tensor right = b.dim() == 1 ? b.reshaped({b.numel(), 1}) : b;
  const int64_t m = left.size(-2);
  const int64_t k = left.size(-1);
  const int64_t n = right.size(-1);
  CONVKIT_CHECK(right.size(-2) == k, ShapeError, "the operands ", a.shape(), " and ", b.shape(),
                " cannot be multiplied: ", k, " columns, ", right.size(-2), " rows");
  const Shape batch =
      broadcast_shapes(without_last_two(left.shape()), without_last_two(right.shape()), "MatMul");
  Integers extents = batch.to_vector();
  extents.push_back(m);
  extents.push_back(n);
  const Shape shape(extents);
  Tensor y = make(shape, a.dtype());
  const Integers y_strides = memory_strides(shape);
  const auto own_strides = [&](const Tensor& matrices) {
    Integers all = extents;
    all[all.size() - 2] = matrices.size(-2);
    all.back() = matrices.size(-1);
    return stretched_strides(matrices.shape(), Shape(all));
  };
  const Integers left_strides = own_strides(left);
  const Integers right_strides = own_strides(right);
  const std::size_t item = item_size(a.dtype());
  const std::size_t rows = extents.size() - 2;
  const auto batch_strides = [&](const Integers& strides) {
    return Integers(strides.begin(), strides.end() - 2);
  };
  if (y.numel() > 0)
    for_each_row(
        batch.to_vector(),
        {batch_strides(y_strides), batch_strides(left_strides), batch_strides(right_strides)},
        [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
          for (int64_t i = 0; i < count; ++i) {
            const Tensor l = dense_matrix(left, offsets[1] + i * steps[1], m, k, left_strides[rows],
                                          left_strides[rows + 1]);
            const Tensor r = dense_matrix(right, offsets[2] + i * steps[2], n, k,
                                          right_strides[rows + 1], right_strides[rows]);
            const Tensor result = product(l, r);
            copy({m, n}, item,
                 {advance(y.raw_mutable_data(), offsets[0] + i * steps[0], item),
                  {y_strides[rows], y_strides[rows + 1]}},
                 place_of(result));
          }
        });
  if (a.dim() == 1) extents.erase(extents.end() - 2);
  if (b.dim() == 1) extents.pop_back();
  return y.reshaped(Shape(extents));
}

Tensors run_matmul(const Call& call) { return {matmul(call.input(0), call.input(1))}; }

Tensors run_fused_conv(const Call& call) {
  Tensors given(call.inputs.begin(),
                call.inputs.begin() + std::min<std::ptrdiff_t>(3, std::ssize(call.inputs)));
  const Shape x = call.input(0).shape();
  if (x.dim() == 2) {
    const Shape w = call.input(1).shape();
    CONVKIT_CHECK(w.dim() == 2, ShapeError, "the input is the matrix ", x, ", but the weight ", w,
                  " is none");
    for (std::size_t i = 0; i < 2; ++i)
      given[i] = given[i].reshaped(given[i].shape().with_inserted(2, 1));
  }
  Tensor y = run_conv({call.node, given})[0];
  if (x.dim() == 2) y = y.reshaped(y.shape().without(2));
  if (call.has(3)) {
    const graph::Node add{.op = graph::Op::add};
    y = run_binary({add, Tensors{y, call.input(3)}})[0];
  }
  const graph::Node clip{.op = graph::Op::clip};
  const auto limit = [&](const char* name) { return full({}, call.number(name), DType::float64); };
  y = run_clip({clip, Tensors{y, limit("low"), limit("high")}})[0];
  if (const auto function = function_of(call.node)) return run_unary({*function, Tensors{y}});
  return {y};
}

// Σ over the letters that the result has not, of the products of all operands; "...ij" stands for
// as many leading axes as there are besides.
Tensors run_einsum(const Call& call) {
  std::string equation = call.text("equation");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  std::vector<std::string> terms(1);
  for (const char c : equation.substr(0, arrow)) {
    if (c == ',') {
      terms.emplace_back();
    } else {
      terms.back() += c;
    }
  }
  CONVKIT_CHECK(terms.size() == call.inputs.size() && terms.size() < 8, ValueError,
                "the equation '", equation, "' has ", terms.size(), " terms for ",
                call.inputs.size(), " operands");
  std::map<char, int64_t> extents;
  std::map<char, int> uses;
  int64_t most_leading = 0;
  // Digits name the axes of an ellipsis, counted from its end.
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const Shape& shape = call.input(t).shape();
    if (const std::size_t dots = terms[t].find("..."); dots != std::string::npos) {
      const int64_t leading = shape.dim() - (std::ssize(terms[t]) - 3);
      CONVKIT_CHECK(leading >= 0, ShapeError, "the term '", terms[t], "' does not fit ", shape);
      most_leading = std::max(most_leading, leading);
      std::string digits;
      for (int64_t i = leading; i-- > 0;) digits += static_cast<char>('0' + i);
      terms[t].replace(dots, 3, digits);
    }
    CONVKIT_CHECK(std::ssize(terms[t]) == shape.dim(), ShapeError, "the term '", terms[t],
                  "' does not fit an operand of shape ", shape);
    for (std::size_t i = 0; i < terms[t].size(); ++i) {
      int64_t& extent = extents.emplace(terms[t][i], 1).first->second;
      const int64_t own = shape.begin()[i];
      CONVKIT_CHECK(extent == 1 || own == 1 || own == extent, ShapeError, "'", terms[t][i], "' is ",
                    extent, " and ", own, " long");
      if (own != 1) extent = own;
      ++uses[terms[t][i]];
    }
  }
  std::string leading;
  for (int64_t i = most_leading; i-- > 0;) leading += static_cast<char>('0' + i);
  std::string result;
  if (arrow == std::string::npos) {
    result = leading;
    for (const auto& [letter, count] : uses)
      if (count == 1 && (letter < '0' || letter > '9')) result += letter;
  } else {
    result = equation.substr(arrow + 2);
    if (const std::size_t dots = result.find("..."); dots != std::string::npos)
      result.replace(dots, 3, leading);
  }
  Integers shape;
  std::string letters = result;
  for (const char letter : result) {
    CONVKIT_CHECK(extents.contains(letter), ValueError, "the result's '", letter,
                  "' stands in no term of '", equation, "'");
    shape.push_back(extents[letter]);
  }
  Integers box = shape;
  for (const auto& [letter, extent] : extents)
    if (result.find(letter) == std::string::npos) {
      letters += letter;
      box.push_back(extent);
    }
  double products = 1;
  for (const int64_t extent : box) products *= static_cast<double>(extent);
  CONVKIT_CHECK(products <= kMostProducts, ValueError, "the equation '", equation, "' asks for ",
                products, " products; the most are ", kMostProducts);
  const Shape y_shape(shape);
  Tensor sums = make(y_shape, DType::float64);
  sums.fill(0);
  std::vector<Integers> strides;
  Integers target = memory_strides(y_shape);
  target.resize(box.size(), 0);
  strides.push_back(target);
  for (std::size_t t = 0; t < terms.size(); ++t) {
    const Integers own = memory_strides(call.input(t).shape());
    Integers along(box.size(), 0);
    for (std::size_t i = 0; i < terms[t].size(); ++i)
      if (call.input(t).shape().begin()[i] != 1) along[letters.find(terms[t][i])] += own[i];
    strides.push_back(along);
  }
  double* sum = sums.mutable_data<double>();
  for_each_row(box, strides, [&](const int64_t* offsets, int64_t count, const int64_t* steps) {
    for (int64_t i = 0; i < count; ++i) {
      double value = 1;
      for (std::size_t t = 0; t < terms.size(); ++t) {
        double factor = 0;
        load(call.input(t).dtype(), call.input(t).raw_data(), offsets[t + 1] + i * steps[t + 1], 1,
             1, &factor);
        value *= factor;
      }
      sum[offsets[0] + i * steps[0]] += value;
    }
  });
  return {sums.to(call.input(0).dtype())};
}

}  // namespace convkit::infer
