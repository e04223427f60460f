#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/data/dataset.h"

/// Data sets by name, as the command line takes them:
///
/// - `fashion-mnist[:DIR]`: 60,000 + 10,000 pictures of clothes, 28×28 grey, 10 classes
///   (Xiao et al. 2017); found in $CONVKIT_DATA/fashion-mnist or where Debian's package
///   dataset-fashion-mnist puts it.
/// - `mnist:DIR`: the digits, in the same IDX files, plain or .gz.
/// - `cifar10:DIR`: the binary version, data_batch_1.bin … data_batch_5.bin and test_batch.bin.
/// - `cifar100:DIR`: the binary version, train.bin and test.bin.
/// - `folder:DIR`: pictures, DIR/train/<class>/*.png|jpg|jpeg and DIR/test/<class>/... (or
///   DIR/val/...); or DIR/<class>/*, which a seed splits into the two.
namespace convkit::data {

/// Which part of a data set.
enum class Split { train, test };
/// "train" or "test".
CONVKIT_API std::string to_text(Split split);

struct OpenOptions {
  /// Resizes every picture to this (height, width); without it, all of a folder must have one size.
  struct Size {
    int64_t height = 0;
    int64_t width = 0;
  };
  std::optional<Size> resize = {};
  /// 1 (grey) or 3 (RGB); 0 keeps what the files have: RGB as soon as one of them has colour.
  int64_t channels = 0;
  /// The classes, in the order of their labels, as a trained net knows them. Empty: the folders of
  /// the training set in ascending order. Only used by `folder`.
  std::vector<std::string> class_names = {};
  /// For one folder of class folders: the share of each class that is kept for testing, and the
  /// seed that chooses which.
  double test_fraction = 0.2;
  uint64_t seed = 0;
  /// Decoded pictures of a folder are kept in memory when all of them take no more than this.
  int64_t cache_bytes = int64_t{1} << 30;
};

/// Opens one part of a data set. All its files are looked at, so that what is missing, unreadable,
/// of another size or without pictures is told at once, in words and with the way out. Throws
/// ValueError for a name that is not known or a folder whose structure is wrong (no class, one
/// class, a class without pictures), ShapeError for mixed sizes, IoError for what is missing or may
/// not be read, FormatError for files that are damaged.
CONVKIT_API DatasetPtr open_dataset(const std::string& spec, Split split,
                                    const OpenOptions& options = {});

/// Both parts, the second with the classes, channels and size of the first. Throws ShapeError when
/// their sizes differ.
struct TrainTest {
  DatasetPtr train;
  DatasetPtr test;
};
CONVKIT_API TrainTest open_train_test(const std::string& spec, const OpenOptions& options = {});

/// Throws what open_dataset would throw because of the words of `spec`: ValueError for a name that
/// is not known, or one without the folder it needs. Looks at no file.
CONVKIT_API void check_spec(const std::string& spec);

/// One line for each kind of data set, for help texts.
CONVKIT_API std::string known_datasets();

}  // namespace convkit::data
