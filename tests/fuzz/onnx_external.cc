#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "convkit/io/file.h"
#include "convkit/onnx/import.h"
#include "tests/fuzz/readers.h"

namespace convkit::fuzz {
namespace {

// A folder of this process alone, which goes with it.
struct Folder {
  std::string path = "/tmp/convkit-fuzz-XXXXXX";
  Folder() {
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make " + path);
  }
  ~Folder() {
    unlink((path + "/net.onnx").c_str());
    unlink((path + "/data.bin").c_str());
    rmdir(path.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
};

void write(const std::string& path, ByteView bytes) {
  FILE* const file = std::fopen(path.c_str(), "wb");
  const bool written =
      file != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  if (file == nullptr || std::fclose(file) != 0 || !written)
    throw std::runtime_error("cannot write " + path);
}

}  // namespace

void onnx_external(ByteView bytes) {
  if (bytes.size() < 2) return;
  static const Folder folder;
  const std::size_t announced = bytes[0] + std::size_t{256} * bytes[1];
  const std::size_t length = std::min(announced, bytes.size() - 2);
  write(folder.path + "/data.bin", bytes.subspan(2, length));
  write(folder.path + "/net.onnx", bytes.subspan(2 + length));
  onnx::load_onnx(folder.path + "/net.onnx");
}

}  // namespace convkit::fuzz
