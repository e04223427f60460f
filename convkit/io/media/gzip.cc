#include "convkit/io/media/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "convkit/base/error.h"
#include "convkit/io/file.h"

namespace convkit::io::media {
namespace {

// zlib's window of 2^15 bytes; adding 16 asks for gzip's header and checksum.
constexpr int kGzipWindowBits = 15 + 16;

class Inflater {
 public:
  Inflater() {
    if (inflateInit2(&stream_, kGzipWindowBits) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream& stream() { return stream_; }

 private:
  z_stream stream_{};
};

uInt clamp_size(std::size_t size) {
  return static_cast<uInt>(std::min<std::size_t>(size, std::numeric_limits<uInt>::max()));
}

}  // namespace

bool is_gzip(std::span<const uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B;
}

std::vector<uint8_t> inflate_gzip(std::span<const uint8_t> bytes, const std::string& name,
                                  int64_t limit) {
  CONVKIT_CHECK(is_gzip(bytes), FormatError, name, ": not a gzip file");
  Inflater inflater;
  z_stream& stream = inflater.stream();
  std::vector<uint8_t> result;
  std::size_t read = 0;
  std::size_t written = 0;
  for (;;) {
    if (written == result.size()) {
      CONVKIT_CHECK(std::ssize(result) <= limit, FormatError, name,
                    ": it decompresses to more than ", limit,
                    " bytes, the limit for a file of this kind");
      // Up to one byte above the limit, which tells a full buffer from too long a file.
      const std::size_t wanted = std::max(2 * result.size(), 2 * bytes.size() + 1024);
      result.resize(std::min(wanted, static_cast<std::size_t>(limit) + 1));
    }
    stream.next_in = const_cast<Bytef*>(bytes.data() + read);
    stream.avail_in = clamp_size(bytes.size() - read);
    stream.next_out = result.data() + written;
    stream.avail_out = clamp_size(result.size() - written);
    const uInt given = stream.avail_in;
    const uInt room = stream.avail_out;
    const int status = inflate(&stream, Z_NO_FLUSH);
    read += given - stream.avail_in;
    written += room - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (read == bytes.size()) break;
      CONVKIT_CHECK(is_gzip(bytes.subspan(read)), FormatError, name, ": ", bytes.size() - read,
                    " bytes that are not gzip follow the compressed data; fetch the file anew");
      inflateReset(&stream);
      continue;
    }
    CONVKIT_CHECK(status == Z_OK || status == Z_BUF_ERROR, FormatError, name,
                  ": damaged gzip data near byte ", read, ": ",
                  stream.msg != nullptr ? stream.msg : "unknown fault", "; fetch the file anew");
    CONVKIT_CHECK(read < bytes.size() || written == result.size(), FormatError, name,
                  ": the gzip data end after ", bytes.size(),
                  " bytes, but are not complete; "
                  "the file is cut short; fetch it anew");
  }
  CONVKIT_CHECK(static_cast<int64_t>(written) <= limit, FormatError, name,
                ": it decompresses to more than ", limit,
                " bytes, the limit for a file of this kind");
  result.resize(written);
  return result;
}

std::vector<uint8_t> read_maybe_gzip(const std::string& path, int64_t limit) {
  std::vector<uint8_t> bytes = read_file(path, limit);
  return is_gzip(bytes) ? inflate_gzip(bytes, path, limit) : bytes;
}

}  // namespace convkit::io::media
