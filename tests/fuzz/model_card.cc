#include "convkit/train/model_card.h"

#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void model_card(ByteView bytes) {
  train::to_metadata(
      train::card_from_metadata({{"convkit", {bytes.begin(), bytes.end()}}}, "weights"));
}

}  // namespace convkit::fuzz
