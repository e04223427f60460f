#include "convkit/train/config.h"

#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void config(ByteView bytes) {
  const train::TrainConfig read = train::config_from_json({bytes.begin(), bytes.end()}, "config");
  train::to_json(read);
  train::validate(read);
}

}  // namespace convkit::fuzz
