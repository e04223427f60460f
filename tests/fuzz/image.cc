#include "convkit/io/media/image.h"

#include <stdexcept>

#include "convkit/base/error.h"
#include "tests/fuzz/as_file.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void image(ByteView bytes) {
  const MemoryFile file(bytes);
  io::media::ImageInfo announced;
  bool has_head = true;
  try {
    announced = io::media::read_image_info(file.path());
  } catch (const Error&) {
    has_head = false;
  }
  const io::media::Image picture = io::media::decode_image(bytes);
  const auto size = static_cast<std::size_t>(picture.height * picture.width * picture.channels);
  if (picture.pixels.size() != size) throw std::logic_error("pixels are missing");
  // Who has made room by the head must get no other size.
  if (has_head && announced != picture) throw std::logic_error("the head says another size");
  if (size < 1'000'000) io::media::with_channels(picture, 3);
}

}  // namespace convkit::fuzz
