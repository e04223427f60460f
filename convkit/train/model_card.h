#pragma once

#include <string>
#include <vector>

#include "convkit/io/safetensors.h"
#include "convkit/nn/module.h"
#include "convkit/train/config.h"

/// What a weights file says about itself, so that it can be used without its run folder: it stands
/// as JSON in the safetensors metadata under "convkit". PyTorch sees ordinary weights.
namespace convkit::train {

struct ModelCard {
  TrainConfig config;  ///< threads and workers are left out: no weight depends on them
  Shape input;         ///< one sample, (C, spatial...)
  std::vector<std::string> classes;  ///< names, by label
  std::vector<float> mean;           ///< of each channel, of values in [0, 1]
  std::vector<float> std;            ///< the net's input is (value − mean) / std

  friend bool operator==(const ModelCard&, const ModelCard&) = default;
};

CONVKIT_API io::Metadata to_metadata(const ModelCard& card);
/// True when the metadata has a card.
CONVKIT_API bool has_card(const io::Metadata& metadata);
/// Throws FormatError naming `source` when there is none or it is damaged.
CONVKIT_API ModelCard card_from_metadata(const io::Metadata& metadata, const std::string& source);

/// A fresh net as the card says; weights are drawn from default_generator().
CONVKIT_API nn::AnyModule make_net(const ModelCard& card);

/// Replaces a weights file: the state dict with PyTorch's keys, and the card.
CONVKIT_API void save_weights(const std::string& path, nn::AnyModule& net, const ModelCard& card);

/// A net with its weights, in evaluation mode.
struct LoadedNet {
  nn::AnyModule net;
  ModelCard card;
};
/// Loads a weights file. Without a card of its own it needs `fallback`. Throws FormatError when
/// there is neither, and what load_state_dict throws when the weights are not the card's net's.
CONVKIT_API LoadedNet load_net(const std::string& path, const ModelCard* fallback = nullptr);

}  // namespace convkit::train
