#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "convkit/base/export.h"
#include "convkit/data/dataset.h"
#include "convkit/data/transforms.h"
#include "convkit/tensor/tensor.h"

namespace convkit::data {

struct LoaderOptions {
  int64_t batch_size = 1;
  bool shuffle = false;
  uint64_t seed = 0;
  /// Threads that decode and augment while the net computes; 0 does it in next(). They are the
  /// loader's own, so that they never wait for the net's.
  int workers = 1;
  /// Leaves out the last batch of an epoch when it is not full.
  bool drop_last = false;
  /// The most batches that stand ready ahead.
  int64_t prefetch = 4;
};

struct Batch {
  Tensor images;  ///< (N, C, spatial...) float32
  Tensor labels;  ///< (N) int64
  int64_t epoch = 0;
  int64_t index = 0;             ///< within the epoch
  std::vector<int64_t> samples;  ///< their indices in the data set
};

/// Gives the batches of a data set, epoch by epoch:
///
///     for (int64_t epoch = 0; epoch < epochs; ++epoch) {
///       loader.start(epoch);
///       while (std::optional<Batch> batch = loader.next()) { ... }
///     }
///
/// The order of an epoch depends on (seed, epoch) alone, what is random in a sample's transforms on
/// (seed, epoch, index of the sample): neither on the number of workers nor on what was loaded
/// before. So start(epoch, batch) goes on exactly where another run stopped.
///
/// To be used from one thread at a time.
class CONVKIT_API DataLoader {
 public:
  /// Throws ValueError for options out of range or a data set without a batch, and what
  /// Pipeline::output_shape throws.
  DataLoader(DatasetPtr dataset, const LoaderOptions& options, Pipeline pipeline = {});
  ~DataLoader();
  DataLoader(const DataLoader&) = delete;
  DataLoader& operator=(const DataLoader&) = delete;

  const Dataset& dataset() const;
  const Pipeline& pipeline() const;
  const LoaderOptions& options() const;
  /// Per epoch.
  int64_t batches() const;
  int64_t samples() const;
  /// The shape of a sample as the net sees it, (C, spatial...).
  const Shape& sample_shape() const;

  /// The sample indices of an epoch in their order.
  std::vector<int64_t> order(int64_t epoch) const;

  /// Goes to batch `first` of `epoch` (first = batches() is its end); what was under way is
  /// dropped. Throws ValueError for numbers out of range.
  void start(int64_t epoch, int64_t first = 0);
  /// The next batch of the epoch, or nothing at its end or before the first start(). An error in a
  /// worker comes out of here, at the place of its batch, and again until the next start().
  std::optional<Batch> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace convkit::data
