#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "convkit/io/file.h"
#include "convkit/onnx/model_file.h"
#include "convkit/onnx/proto.h"
#include "convkit/tensor/tensor.h"

/// The elements of a file's tensors; for onnx/ only.
namespace convkit::onnx {

/// convkit's name for an ONNX element type, where it has that type.
std::optional<DType> dtype_of(int32_t data_type);

/// Files with elements: those beside the model, and the model itself where its large tensors were
/// left out of what was parsed. Only files below the model's folder are opened: a location that is
/// absolute, has a `..`, or runs over a symbolic link is refused with FormatError.
class ExternalFiles {
 public:
  /// `folder` of the model; without it there are no files beside it.
  explicit ExternalFiles(std::optional<std::string> folder) : folder_(std::move(folder)) {}
  /// What was left out of the model's bytes, which must live as long as this; from now on large
  /// tensors of float32 are deferred (tensor/deferred.h): they stay in their files until they are
  /// read.
  void defer(const ModelFile& model) { model_ = &model; }

  /// The elements that the entries of external_data name. The same bytes under the same shape are
  /// read once; others must not overlap so far that all of them are more than the files hold.
  Tensor read(const TensorProto& proto, const Shape& shape, DType dtype);
  /// The part of the model's file that raw data parsed as empty stand for, if they do.
  std::optional<FilePart> left_out(std::string_view raw_data) const;
  Tensor read_left_out(const FilePart& part, const Shape& shape, DType dtype) const;

 private:
  using File = std::shared_ptr<const io::InputFile>;
  const File& open(const std::string& location);
  Tensor from_file(const File& file, const FilePart& part, const Shape& shape, DType dtype) const;

  using Key = std::tuple<std::string, int64_t, std::vector<int64_t>, DType>;

  std::optional<std::string> folder_;
  const ModelFile* model_ = nullptr;
  std::map<std::string, File> files_;
  std::map<Key, Tensor> tensors_;
  int64_t bytes_of_files_ = 0;
  int64_t bytes_read_ = 0;
};

/// A tensor with the elements of `proto`. Throws FormatError, naming the tensor, when its extents
/// are negative, overflow, or are not those of the elements given; DTypeError for a type convkit
/// has not (strings, 8-bit floats, ...); ShapeError for more than kMaxDim axes.
Tensor to_tensor(const TensorProto& proto, ExternalFiles& files);

}  // namespace convkit::onnx
