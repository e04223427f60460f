#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convkit/base/export.h"

/// Files read whole within a bound, and written whole or not at all.
///
/// Every failure is an IoError that names the path, the system's words and the way out.
namespace convkit::io {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

/// A regular file open for reading. Folders, devices and pipes are refused, so that reading never
/// waits and never goes on for ever. Move is not needed; one object, one open file.
class CONVKIT_API InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  /// Bytes the file had when it was opened.
  int64_t size() const { return size_; }
  /// Fills `target` from byte `offset` on; throws IoError when the file ends before. Several
  /// threads may read at once.
  void read_at(int64_t offset, std::span<uint8_t> target) const;
  /// Throws IoError if the file was written to since it was opened, as far as its size and its time
  /// tell. A file that another has replaced by renaming is still the one that was opened.
  void check_unchanged() const;

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
  int64_t changed_ = 0;  ///< when it was last written to, in nanoseconds
};

/// The most bytes read_file takes unless told otherwise: the machine's main memory.
CONVKIT_API int64_t default_read_limit();

/// The bytes of a regular file; throws IoError when there are more than `limit`.
CONVKIT_API Bytes read_file(const std::string& path, int64_t limit = default_read_limit());

/// Replaces a file whole: what is written goes to a temporary file in the same folder, commit()
/// flushes it to the disk and renames it over `path`. Until then, and after any failure (a full
/// disk, say), the old file is as it was, and the destructor removes the temporary one. A symbolic
/// link is followed; the mode of the old file is kept; anything but a regular file is refused.
class CONVKIT_API AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const uint8_t> bytes);
  void write(std::string_view text);
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::string path_;       ///< as the caller wrote it, for messages
  std::string target_;     ///< with symbolic links resolved
  std::string folder_;     ///< of target_
  std::string temporary_;  ///< empty once renamed
  int descriptor_ = -1;
};

/// Removes the temporary files that processes killed while they wrote have left in a folder. Call
/// it only when nobody writes there.
CONVKIT_API void remove_temporary_files(const std::string& folder);

/// An AtomicFile of one piece.
CONVKIT_API void write_file(const std::string& path, std::span<const uint8_t> bytes);
CONVKIT_API void write_file(const std::string& path, std::string_view text);

}  // namespace convkit::io
