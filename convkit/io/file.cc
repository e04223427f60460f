#include "convkit/io/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "convkit/base/error.h"
#include "convkit/io/io_error.h"

namespace convkit::io {
namespace {

// Linux reads and writes at most 2 GiB at once.
constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;
constexpr const char* kTemporaryStart = ".convkit-";
constexpr const char* kTemporaryEnd = ".tmp";

// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

int64_t time_of_change(const struct stat& status) {
  constexpr int64_t kNanoseconds = 1'000'000'000;
  return int64_t{status.st_mtim.tv_sec} * kNanoseconds + status.st_mtim.tv_nsec;
}

std::string with_links_resolved(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return path;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) throw_system_error("write", path, errno);
  return real.get();
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  descriptor_ =
      uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (descriptor_ < 0) throw_system_error("read", path, errno);
  struct stat status {};
  const int error = fstat(descriptor_, &status) != 0 ? errno : 0;
  if (error == 0 && S_ISREG(status.st_mode)) {
    size_ = status.st_size;
    changed_ = time_of_change(status);
    return;
  }
  close(descriptor_);  // the destructor does not run
  if (error != 0) throw_system_error("read", path, error);
  if (S_ISDIR(status.st_mode)) throw_system_error("read", path, EISDIR);
  throw IoError(message("cannot read '", path, "': it is a device or a pipe; name a file"));
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read_at(int64_t offset, std::span<uint8_t> target) const {
  while (!target.empty()) {
    const ssize_t count = uninterrupted([&] {
      return pread(descriptor_, target.data(), std::min(target.size(), kMaxTransfer), offset);
    });
    if (count < 0) throw_system_error("read", path_, errno);
    CONVKIT_CHECK(count > 0, IoError, "cannot read '", path_, "': it ends at byte ", offset, ", ",
                  target.size(), " bytes early; another process may have changed it meanwhile");
    target = target.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

void InputFile::check_unchanged() const {
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) throw_system_error("read", path_, errno);
  CONVKIT_CHECK(status.st_size == size_ && time_of_change(status) == changed_, IoError,
                "cannot read '", path_,
                "': it was written to since it was opened; open it again, and replace files by "
                "renaming others over them");
}

int64_t default_read_limit() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? pages * page : int64_t{1} << 32;
}

Bytes read_file(const std::string& path, int64_t limit) {
  const InputFile file(path);
  CONVKIT_CHECK(file.size() <= limit, IoError, "cannot read '", path, "': it has ", file.size(),
                " bytes, more than the ", limit, " that a file of this kind may have");
  Bytes bytes(static_cast<std::size_t>(file.size()));
  file.read_at(0, bytes);
  return bytes;
}

AtomicFile::AtomicFile(const std::string& path)
    : path_(path), target_(with_links_resolved(path)), folder_(parent_of(target_)) {
  struct stat old {};
  const bool replaces = stat(target_.c_str(), &old) == 0;
  if (replaces && S_ISDIR(old.st_mode)) throw_system_error("write", path_, EISDIR);
  CONVKIT_CHECK(!replaces || S_ISREG(old.st_mode), IoError, "cannot write '", path_,
                "': it is a device or a pipe; name a file");
  // The name does not grow with that of the target, which may have the longest length allowed.
  static std::atomic<int> counter{0};
  do {
    temporary_ = message(folder_, "/", kTemporaryStart, static_cast<int64_t>(getpid()), "-",
                         ++counter, kTemporaryEnd);
    descriptor_ = uninterrupted(
        [&] { return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    throw_system_error("write", path_, errno);
  }
  // A mode that cannot be kept is no reason to lose the contents.
  if (replaces) static_cast<void>(fchmod(descriptor_, old.st_mode & 07777) == 0);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::fail(int error) const { throw_system_error("write", path_, error); }

void AtomicFile::write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = uninterrupted(
        [&] { return ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxTransfer)); });
    if (count < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

void AtomicFile::commit() {
  if (uninterrupted([&] { return fsync(descriptor_); }) != 0) fail(errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (close(descriptor) != 0 && errno != EINTR) fail(errno);
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  temporary_.clear();
  // The new name itself must reach the disk. Some file systems cannot do that for a folder.
  const int folder = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const int error = fsync(folder) != 0 ? errno : 0;
  close(folder);
  if (error != 0 && error != EINVAL && error != ENOTSUP) fail(error);
}

void remove_temporary_files(const std::string& folder) {
  DIR* const stream = opendir(folder.c_str());
  if (stream == nullptr) return;
  while (const dirent* entry = readdir(stream)) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string_view name = entry->d_name;
    if (name.starts_with(kTemporaryStart) && name.ends_with(kTemporaryEnd))
      unlink(message(folder, "/", name).c_str());
  }
  closedir(stream);
}

void write_file(const std::string& path, std::span<const uint8_t> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file(const std::string& path, std::string_view text) {
  write_file(path, std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

}  // namespace convkit::io
