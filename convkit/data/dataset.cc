#include "convkit/data/dataset.h"

#include <algorithm>

#include "convkit/base/error.h"

namespace convkit::data {
namespace {

template <class T>
std::vector<T>& make(Sample& sample, const Shape& shape) {
  sample.shape = shape;
  if (!std::holds_alternative<std::vector<T>>(sample.elements))
    sample.elements.emplace<std::vector<T>>();
  auto& elements = std::get<std::vector<T>>(sample.elements);
  elements.resize(static_cast<std::size_t>(shape.numel()));
  return elements;
}

template <class T>
class MemoryDataset final : public Dataset {
 public:
  MemoryDataset(Description description, std::vector<T> elements, std::vector<int64_t> labels)
      : Dataset(std::move(description)),
        elements_(std::move(elements)),
        labels_(std::move(labels)) {
    item_ = sample_shape().numel();
    CONVKIT_CHECK(std::ssize(elements_) == item_ * size(), ShapeError, name(), ": ", size(),
                  " samples of ", sample_shape(), " have ", item_ * size(), " elements, not ",
                  elements_.size());
    const auto wrong = std::find_if(labels_.begin(), labels_.end(),
                                    [&](int64_t label) { return label < 0 || label >= classes(); });
    CONVKIT_CHECK(wrong == labels_.end(), ValueError, name(), ": sample ", wrong - labels_.begin(),
                  " has the label ", *wrong, ", but there are ", classes(), " classes");
  }

  int64_t size() const override { return std::ssize(labels_); }
  int64_t label(int64_t index) const override {
    check_index(index);
    return labels_[static_cast<std::size_t>(index)];
  }
  void read(int64_t index, Sample& sample) const override {
    sample.label = label(index);
    std::vector<T>& target = make<T>(sample, sample_shape());
    std::copy_n(elements_.begin() + index * item_, item_, target.begin());
  }
  bool in_memory() const override { return true; }

 private:
  std::vector<T> elements_;
  std::vector<int64_t> labels_;
  int64_t item_ = 0;
};

class Subset final : public Dataset {
 public:
  Subset(DatasetPtr whole, std::vector<int64_t> indices)
      : Dataset({whole->name(), whole->class_names(), whole->sample_shape(), whole->conversion()}),
        whole_(std::move(whole)),
        indices_(std::move(indices)) {
    for (const int64_t index : indices_)
      CONVKIT_CHECK(index >= 0 && index < whole_->size(), ValueError, name(),
                    ": there is no sample ", index, " among ", whole_->size());
  }

  int64_t size() const override { return std::ssize(indices_); }
  int64_t label(int64_t index) const override { return whole_->label(at(index)); }
  void read(int64_t index, Sample& sample) const override { whole_->read(at(index), sample); }
  std::string origin(int64_t index) const override { return whole_->origin(at(index)); }
  bool in_memory() const override { return whole_->in_memory(); }

 private:
  int64_t at(int64_t index) const {
    check_index(index);
    return indices_[static_cast<std::size_t>(index)];
  }

  DatasetPtr whole_;
  std::vector<int64_t> indices_;
};

}  // namespace

std::vector<uint8_t>& Sample::make_bytes(const Shape& new_shape) {
  return make<uint8_t>(*this, new_shape);
}
std::vector<float>& Sample::make_floats(const Shape& new_shape) {
  return make<float>(*this, new_shape);
}

Sample Dataset::read(int64_t index) const {
  Sample sample;
  read(index, sample);
  return sample;
}

std::string Dataset::origin(int64_t index) const { return message(name(), " #", index); }

void Dataset::check_index(int64_t index) const {
  CONVKIT_CHECK(index >= 0 && index < size(), ValueError, name(), ": there is no sample ", index,
                " among ", size());
}

std::string unnamed_class(int64_t label) { return message("class ", label); }

DatasetPtr make_memory_dataset(Dataset::Description description, std::vector<uint8_t> elements,
                               std::vector<int64_t> labels) {
  return std::make_shared<MemoryDataset<uint8_t>>(std::move(description), std::move(elements),
                                                  std::move(labels));
}

DatasetPtr make_memory_dataset(Dataset::Description description, std::vector<float> elements,
                               std::vector<int64_t> labels) {
  return std::make_shared<MemoryDataset<float>>(std::move(description), std::move(elements),
                                                std::move(labels));
}

DatasetPtr make_subset(DatasetPtr dataset, std::vector<int64_t> indices) {
  return std::make_shared<Subset>(std::move(dataset), std::move(indices));
}

std::vector<int64_t> class_counts(const Dataset& dataset) {
  std::vector<int64_t> counts(static_cast<std::size_t>(dataset.classes()));
  for (int64_t i = 0; i < dataset.size(); ++i) ++counts[static_cast<std::size_t>(dataset.label(i))];
  return counts;
}

}  // namespace convkit::data
