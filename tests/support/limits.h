#pragma once

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>
#include <string>

/// The ways a disk can fail, without harm to the machine.
namespace convkit::test {

/// While it lives, no file of this process grows above `bytes`: writing more fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, signal_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  void (*signal_)(int);
  rlimit old_{};
};

/// While it lives, a test run by root has an ordinary user's rights (user 65534), so that the modes
/// of files mean something. `shared` is a folder that user shall be able to enter.
class WithoutRoot {
 public:
  explicit WithoutRoot(const std::string& shared = "") {
    if (!shared.empty()) chmod(shared.c_str(), 0755);
    if (geteuid() != 0) return;
    if (seteuid(65534) != 0) throw std::runtime_error("seteuid");
    changed_ = true;
  }
  ~WithoutRoot() {
    if (changed_ && seteuid(0) != 0) std::terminate();
  }
  WithoutRoot(const WithoutRoot&) = delete;
  WithoutRoot& operator=(const WithoutRoot&) = delete;

 private:
  bool changed_ = false;
};

/// A file system of `bytes` bytes mounted over `folder` while the object lives, where that is
/// allowed (mounted() says so).
class SmallDisk {
 public:
  SmallDisk(const std::string& folder, int bytes) : folder_(folder) {
    const std::string options = "size=" + std::to_string(bytes);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount(folder_.c_str());
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }

 private:
  std::string folder_;
  bool mounted_ = false;
};

}  // namespace convkit::test
