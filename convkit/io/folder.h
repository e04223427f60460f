#pragma once

#include <string>
#include <vector>

#include "convkit/base/export.h"

/// Folders; failures are IoErrors that name the path, the system's words and the way out.
namespace convkit::io {

/// Whether there is a regular file, or a folder (symbolic links are followed). Never throws: what
/// cannot be looked at is not there.
CONVKIT_API bool file_exists(const std::string& path);
CONVKIT_API bool folder_exists(const std::string& path);

/// Makes the folder and those above it; content where it already stands.
CONVKIT_API void create_folders(const std::string& path);

/// What stands in a folder: names (without the folder) of its files and of its folders, each in
/// ascending byte order, so that no order depends on the file system. Hidden names (a leading dot)
/// and what is neither file nor folder are left out; symbolic links are followed.
struct FolderContent {
  std::vector<std::string> files;
  std::vector<std::string> folders;
};
CONVKIT_API FolderContent list_folder(const std::string& path);

/// Claims a folder for one user at a time: while it lives no other FolderLock, of this process or
/// another, is held on the same folder. It ends with the process, however that ends, and leaves no
/// file. Where the file system has no locks it is always held.
class CONVKIT_API FolderLock {
 public:
  explicit FolderLock(const std::string& path);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// False when another holds the folder.
  bool held() const { return held_; }

 private:
  int descriptor_ = -1;
  bool held_ = true;
};

/// `folder/name`, with one slash between.
CONVKIT_API std::string join_path(const std::string& folder, const std::string& name);

}  // namespace convkit::io
