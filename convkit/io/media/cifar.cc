#include "convkit/io/media/cifar.h"

#include "convkit/base/error.h"
#include "convkit/io/media/gzip.h"

namespace convkit::io::media {

CifarImages read_cifar(const std::string& path, CifarKind kind) {
  return parse_cifar(read_maybe_gzip(path), kind, path);
}

CifarImages parse_cifar(std::span<const uint8_t> bytes, CifarKind kind, const std::string& name) {
  const bool fine = kind == CifarKind::cifar100;
  const std::size_t label_bytes = fine ? 2 : 1;
  const std::size_t record = label_bytes + static_cast<std::size_t>(kCifarImageBytes);
  const std::size_t count = bytes.size() / record;
  CONVKIT_CHECK(count > 0 && bytes.size() % record == 0, FormatError, name, ": ", bytes.size(),
                " bytes are no whole number of CIFAR-", fine ? "100" : "10", " records of ", record,
                " bytes; the file may be cut short or of the other kind; fetch it anew");
  CifarImages images;
  images.pixels.resize(count * static_cast<std::size_t>(kCifarImageBytes));
  images.labels.reserve(count);
  constexpr auto kPlane = static_cast<std::size_t>(kCifarSide * kCifarSide);
  const auto check_label = [&](int label, int limit, std::size_t at) {
    CONVKIT_CHECK(label < limit, FormatError, name, ": record ", at, " has the label ", label,
                  "; labels go from 0 to ", limit - 1, "; fetch the file anew");
    return label;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const uint8_t* source = bytes.data() + i * record;
    if (fine) images.coarse_labels.push_back(check_label(*source++, 20, i));
    images.labels.push_back(check_label(*source++, fine ? 100 : 10, i));
    uint8_t* target = images.pixels.data() + i * 3 * kPlane;
    for (std::size_t pixel = 0; pixel < kPlane; ++pixel)
      for (std::size_t channel = 0; channel < 3; ++channel)
        target[3 * pixel + channel] = source[channel * kPlane + pixel];
  }
  return images;
}

}  // namespace convkit::io::media
