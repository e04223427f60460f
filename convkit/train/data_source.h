#pragma once

#include <memory>
#include <string>

#include "convkit/data/loader.h"
#include "convkit/train/config.h"
#include "convkit/train/model_card.h"

/// From a TrainConfig's words on data to batches a net takes.
namespace convkit::train {

/// Samples to train on and samples to validate on: the data set's own test part, or else a share
/// that the seed chooses.
struct DataSource {
  ModelCard card;  ///< classes, input shape, and the training part's normalisation
  std::string
      description;  ///< "60,000 samples to train on, 10,000 to validate on; 10 classes, ..."
  /// Shuffled and augmented. A last batch of one sample is left out: it has no variance to
  /// normalise with.
  std::unique_ptr<data::DataLoader> train;
  std::unique_ptr<data::DataLoader> validation;
};

/// Throws what opening the data set throws, and ValueError or ShapeError for one that the config
/// cannot train on.
CONVKIT_API DataSource open_data(const TrainConfig& config);

/// Only the samples that a net with this card was validated on, of its own data set or of another,
/// made to fit the net. Throws ValueError for data with other classes.
CONVKIT_API std::unique_ptr<data::DataLoader> open_validation(const ModelCard& card,
                                                              const std::string& data,
                                                              const data::LoaderOptions& options);

}  // namespace convkit::train
