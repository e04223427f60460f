#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/tensor/tensor.h"

namespace convkit::graph {

/// What an attribute can be. ONNX's floats are kept as doubles, which hold them exactly.
using AttributeValue = std::variant<int64_t, double, std::string, std::vector<int64_t>,
                                    std::vector<double>, std::vector<std::string>, Tensor>;

/// The parameters of a node by name, in the order they were set. A node has few.
class CONVKIT_API Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, AttributeValue>> entries)
      : entries_(entries) {}

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// The value of that name, or null.
  const AttributeValue* find(std::string_view name) const;
  /// Adds a value, or replaces the one of that name.
  void set(std::string_view name, AttributeValue value);
  void remove(std::string_view name);

  /// The value of that name. Throws ValueError when there is none or it is of another kind.
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;
  const std::vector<double>& numbers(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  /// integer(name) ≠ 0.
  bool flag(std::string_view name) const { return integer(name) != 0; }

  const std::vector<std::pair<std::string, AttributeValue>>& entries() const { return entries_; }

 private:
  std::vector<std::pair<std::string, AttributeValue>> entries_;
};

/// `3`, `0.5`, `'same'`, `(1, 2)`; tensors by type and shape.
CONVKIT_API std::string to_text(const AttributeValue& value);
/// True for values of one kind with the same bits.
CONVKIT_API bool equal(const AttributeValue& a, const AttributeValue& b);
/// True when both have the same names with equal values, in any order.
CONVKIT_API bool equal(const Attributes& a, const Attributes& b);

}  // namespace convkit::graph
