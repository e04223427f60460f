#include "convkit/io/media/cifar.h"

#include "tests/fuzz/readers.h"

namespace convkit::fuzz {

void cifar(ByteView bytes) {
  if (bytes.empty()) return;
  const auto kind =
      (bytes[0] & 1) != 0 ? io::media::CifarKind::cifar100 : io::media::CifarKind::cifar10;
  io::media::parse_cifar(bytes.subspan(1), kind);
}

}  // namespace convkit::fuzz
