#include "convkit/graph/attribute.h"

#include <algorithm>

#include "convkit/base/error.h"

namespace convkit::graph {
namespace {

template <class T>
const T& get(const Attributes& attributes, std::string_view name, const char* kind) {
  const AttributeValue* value = attributes.find(name);
  CONVKIT_CHECK(value != nullptr, ValueError, "attribute '", name, "' is missing");
  const T* typed = std::get_if<T>(value);
  CONVKIT_CHECK(typed != nullptr, ValueError, "attribute '", name, "' is ", graph::to_text(*value),
                ", but should be ", kind);
  return *typed;
}

template <class T>
std::string list_text(const std::vector<T>& values) {
  std::string text = "(";
  for (std::size_t i = 0; i < values.size(); ++i)
    text += (i == 0 ? "" : ", ") + to_text(AttributeValue(values[i]));
  return text + (values.size() == 1 ? ",)" : ")");
}

}  // namespace

const AttributeValue* Attributes::find(std::string_view name) const {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  return found == entries_.end() ? nullptr : &found->second;
}

void Attributes::set(std::string_view name, AttributeValue value) {
  for (auto& [key, old] : entries_) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  entries_.emplace_back(name, std::move(value));
}

void Attributes::remove(std::string_view name) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == name; });
}

int64_t Attributes::integer(std::string_view name) const {
  return get<int64_t>(*this, name, "an integer");
}
double Attributes::number(std::string_view name) const {
  return get<double>(*this, name, "a number");
}
const std::string& Attributes::text(std::string_view name) const {
  return get<std::string>(*this, name, "a text");
}
const std::vector<int64_t>& Attributes::integers(std::string_view name) const {
  return get<std::vector<int64_t>>(*this, name, "a list of integers");
}
const std::vector<double>& Attributes::numbers(std::string_view name) const {
  return get<std::vector<double>>(*this, name, "a list of numbers");
}
const Tensor& Attributes::tensor(std::string_view name) const {
  return get<Tensor>(*this, name, "a tensor");
}

std::string to_text(const AttributeValue& value) {
  struct Printer {
    std::string operator()(int64_t number) const { return convkit::to_text(number); }
    // Attributes come from 32-bit floats: their shortest text, not that of the double.
    std::string operator()(double number) const {
      const auto narrow = static_cast<float>(number);
      return static_cast<double>(narrow) == number ? convkit::to_text(narrow)
                                                   : convkit::to_text(number);
    }
    std::string operator()(const std::string& text) const { return "'" + text + "'"; }
    std::string operator()(const std::vector<int64_t>& list) const {
      return convkit::to_text(list);
    }
    std::string operator()(const std::vector<double>& list) const { return list_text(list); }
    std::string operator()(const std::vector<std::string>& list) const { return list_text(list); }
    std::string operator()(const Tensor& tensor) const {
      if (!tensor.defined()) return "undefined";
      return message(tensor.dtype(), " ", tensor.shape());
    }
  };
  return std::visit(Printer{}, value);
}

bool equal(const AttributeValue& a, const AttributeValue& b) {
  if (a.index() != b.index()) return false;
  if (const Tensor* tensor = std::get_if<Tensor>(&a)) {
    const Tensor& other = std::get<Tensor>(b);
    if (!tensor->defined() || !other.defined()) return tensor->defined() == other.defined();
    return bit_equal(*tensor, other);
  }
  return std::visit(
      [&]<class T>(const T& value) {
        if constexpr (std::is_same_v<T, Tensor>)
          return false;
        else
          return value == std::get<T>(b);
      },
      a);
}

bool equal(const Attributes& a, const Attributes& b) {
  return a.entries().size() == b.entries().size() &&
         std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
           const AttributeValue* other = b.find(entry.first);
           return other != nullptr && equal(entry.second, *other);
         });
}

}  // namespace convkit::graph
