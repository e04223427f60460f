#include "convkit/io/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "convkit/io/io_error.h"

namespace convkit::io {
namespace {

// The kind of what stands at `path`: S_IFREG, S_IFDIR, ... or 0 for nothing.
mode_t kind_of(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 ? status.st_mode & S_IFMT : 0;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

}  // namespace

bool file_exists(const std::string& path) { return kind_of(path) == S_IFREG; }
bool folder_exists(const std::string& path) { return kind_of(path) == S_IFDIR; }

void create_folders(const std::string& path) {
  if (folder_exists(path)) return;
  const std::string parent = parent_of(path);
  if (parent != path && parent != "." && parent != "/") create_folders(parent);
  // Another process may have made it meanwhile; that is as good.
  if (mkdir(path.c_str(), 0777) == 0 || (errno == EEXIST && folder_exists(path))) return;
  throw_system_error("make the folder", path, errno);
}

FolderContent list_folder(const std::string& path) {
  const std::unique_ptr<DIR, CloseFolder> folder(opendir(path.c_str()));
  if (!folder) throw_system_error("read", path, errno);
  FolderContent content;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(folder.get());  // NOLINT(concurrency-mt-unsafe): own stream
    if (entry == nullptr) {
      if (errno != 0) throw_system_error("read", path, errno);
      break;
    }
    const std::string name = entry->d_name;
    if (name.starts_with('.')) continue;
    const mode_t kind = entry->d_type == DT_REG   ? S_IFREG
                        : entry->d_type == DT_DIR ? S_IFDIR
                                                  : kind_of(join_path(path, name));
    if (kind == S_IFREG) content.files.push_back(name);
    if (kind == S_IFDIR) content.folders.push_back(name);
  }
  std::sort(content.files.begin(), content.files.end());
  std::sort(content.folders.begin(), content.folders.end());
  return content;
}

FolderLock::FolderLock(const std::string& path)
    : descriptor_(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw_system_error("read", path, errno);
  held_ = flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

FolderLock::~FolderLock() { close(descriptor_); }

std::string join_path(const std::string& folder, const std::string& name) {
  return folder.ends_with('/') ? folder + name : folder + "/" + name;
}

}  // namespace convkit::io
