#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/tensor/shape.h"

namespace convkit::data {

/// One sample of a data set, of any rank: a picture (C, H, W), a recording (C, L), a volume
/// (C, D, H, W). The elements stand as in a tensor's memory, the channels innermost: (spatial...,
/// C).
struct CONVKIT_API Sample {
  Shape shape;
  /// Pixels 0 … 255, or numbers as measured. Reused from sample to sample, so that a loop over many
  /// takes memory once.
  std::variant<std::vector<uint8_t>, std::vector<float>> elements;
  int64_t label = 0;

  bool is_bytes() const { return elements.index() == 0; }
  /// The elements as bytes or floats; throws std::bad_variant_access for the other kind.
  std::vector<uint8_t>& bytes() { return std::get<0>(elements); }
  const std::vector<uint8_t>& bytes() const { return std::get<0>(elements); }
  std::vector<float>& floats() { return std::get<1>(elements); }
  const std::vector<float>& floats() const { return std::get<1>(elements); }
  /// Switches to the kind if need be and resizes to `shape`; what the elements hold is undefined.
  std::vector<uint8_t>& make_bytes(const Shape& new_shape);
  std::vector<float>& make_floats(const Shape& new_shape);
};

/// Labelled samples of one shape. Immutable once made: every member may be called from many
/// threads.
class CONVKIT_API Dataset {
 public:
  /// What all samples share.
  struct Description {
    std::string name;                      ///< "fashion-mnist, train", for messages and tables
    std::vector<std::string> class_names;  ///< label i is class_names[i]
    Shape sample_shape;                    ///< (C, spatial...)
    /// What is done to samples as they are stored to give them that shape, in words; empty if
    /// nothing.
    std::string conversion = {};
  };

  explicit Dataset(Description description) : description_(std::move(description)) {}
  virtual ~Dataset() = default;
  Dataset(const Dataset&) = delete;
  Dataset& operator=(const Dataset&) = delete;

  const std::string& name() const { return description_.name; }
  const std::vector<std::string>& class_names() const { return description_.class_names; }
  int64_t classes() const { return std::ssize(description_.class_names); }
  const Shape& sample_shape() const { return description_.sample_shape; }
  const std::string& conversion() const { return description_.conversion; }

  virtual int64_t size() const = 0;
  /// 0 … classes() − 1, without reading the sample; index is 0 … size() − 1.
  virtual int64_t label(int64_t index) const = 0;
  /// Fills `sample`. Throws IoError or FormatError, naming the file, when it cannot be read.
  virtual void read(int64_t index, Sample& sample) const = 0;
  Sample read(int64_t index) const;
  /// Where the sample comes from: a file's path, or "fashion-mnist, test #17".
  virtual std::string origin(int64_t index) const;
  /// Whether read() costs a copy only, rather than a decoding.
  virtual bool in_memory() const { return false; }

 protected:
  /// Throws ValueError unless 0 ≤ index < size().
  void check_index(int64_t index) const;

 private:
  Description description_;
};

/// What a class is called that the files do not name: "class 7".
CONVKIT_API std::string unnamed_class(int64_t label);

using DatasetPtr = std::shared_ptr<const Dataset>;

/// A data set held in memory as bytes: (N, spatial..., C), with a label each. Throws ShapeError
/// when the counts do not fit, and ValueError for a label that is no class.
CONVKIT_API DatasetPtr make_memory_dataset(Dataset::Description description,
                                           std::vector<uint8_t> elements,
                                           std::vector<int64_t> labels);
/// The same with float elements.
CONVKIT_API DatasetPtr make_memory_dataset(Dataset::Description description,
                                           std::vector<float> elements,
                                           std::vector<int64_t> labels);

/// The samples `indices` of another data set, in that order.
CONVKIT_API DatasetPtr make_subset(DatasetPtr dataset, std::vector<int64_t> indices);

/// How many samples of each class there are.
CONVKIT_API std::vector<int64_t> class_counts(const Dataset& dataset);

}  // namespace convkit::data
