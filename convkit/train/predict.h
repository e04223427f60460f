#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/train/model_card.h"

namespace convkit::train {

/// One class and how likely the net takes it to be.
struct Guess {
  int64_t label = 0;
  std::string name;
  double probability = 0;
};

struct Prediction {
  std::string path;
  std::string conversion;      ///< what was done to the picture, in words; empty if nothing was
  std::vector<Guess> guesses;  ///< the likeliest first; equal ones by label
};

/// The `top` likeliest of the classes called `names`; `probabilities` has a float32 for each, of
/// which NaN counts as 0.
CONVKIT_API std::vector<Guess> top_guesses(const Tensor& probabilities,
                                           const std::vector<std::string>& names, int64_t top);

/// Classifies pictures with a net from load_net(): each is brought to the channels and the size the
/// net was trained on, normalised as in training, and run; softmax of the logits gives the
/// probabilities. At most `top` guesses each. Throws IoError or FormatError for a picture that
/// cannot be read, and ValueError for top < 1 or a net that does not take pictures.
CONVKIT_API std::vector<Prediction> predict(LoadedNet& loaded,
                                            const std::vector<std::string>& images,
                                            int64_t top = 5);

}  // namespace convkit::train
