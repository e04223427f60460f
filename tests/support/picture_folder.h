#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convkit/base/random.h"
#include "convkit/io/folder.h"
#include "convkit/io/media/image.h"

/// A data set of small pictures that a net learns in seconds.
namespace convkit::test {

/// Grey noise; "bright" pictures have a bright upper half, "dark" ones a bright lower half.
inline io::media::Image striped_picture(bool upper, int64_t side, Generator& generator) {
  io::media::Image image;
  image.height = side;
  image.width = side;
  image.channels = 1;
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      const bool lit = (y < side / 2) == upper;
      image.pixels.push_back(static_cast<uint8_t>(generator.below(100) + (lit ? 120 : 0)));
    }
  return image;
}

/// Writes DIR/train and DIR/test with the classes "lower" and "upper"; returns the spec of the set.
inline std::string make_picture_folder(const std::string& folder, int64_t train_per_class = 19,
                                       int64_t test_per_class = 6, int64_t side = 8) {
  Generator generator(7);
  for (const char* part : {"train", "test"})
    for (const bool upper : {false, true}) {
      const std::string where = folder + "/" + part + (upper ? "/upper" : "/lower");
      io::create_folders(where);
      const int64_t count = part == std::string("train") ? train_per_class : test_per_class;
      for (int64_t i = 0; i < count; ++i)
        io::media::write_png(where + "/" + std::to_string(i) + ".png",
                             striped_picture(upper, side, generator));
    }
  return "folder:" + folder;
}

}  // namespace convkit::test
