#include "convkit/io/io_error.h"

#include <cerrno>
#include <system_error>

#include "convkit/base/error.h"
#include "convkit/io/folder.h"

namespace convkit::io {
namespace {

std::string way_out(std::string_view verb, const std::string& path, int error) {
  switch (error) {
    case ENOENT: {
      const std::string parent = parent_of(path);
      if (folder_exists(parent)) return verb == "read" ? "check the name" : "choose another folder";
      return verb == "read" ? message("there is no folder ", parent, " either")
                            : message("make the folder ", parent, " first");
    }
    case ENOTDIR:
      return "a part of the path is a file, not a folder";
    case EISDIR:
      return "it is a folder; name a file";
    case EEXIST:
      return "a file of that name stands where the folder should be";
    case EACCES:
    case EPERM:
      return verb == "read" ? "ask for the right to read it (chmod +r, and +x on its folders)"
                            : "choose a folder you may write to, or change its rights (chmod +w)";
    case ENOSPC:
    case EDQUOT:
      return "free some space there or choose another disk";
    case EFBIG:
      return "the size limit of this process (ulimit -f) or of the file system is reached";
    case EROFS:
      return "choose a folder on a disk that can be written";
    case EMFILE:
    case ENFILE:
      return "too many files are open; raise the limit (ulimit -n)";
    case ENAMETOOLONG:
      return "use a shorter name";
    case ELOOP:
      return "its symbolic links go in a circle";
    default:
      return "check the disk";
  }
}

}  // namespace

void throw_system_error(std::string_view verb, const std::string& path, int error) {
  throw IoError(message("cannot ", verb, " '", path, "': ", std::generic_category().message(error),
                        "; ", way_out(verb, path, error)));
}

std::string parent_of(const std::string& path) {
  std::size_t end = path.size();
  while (end > 1 && path[end - 1] == '/') --end;
  const std::size_t slash = path.rfind('/', end - 1);
  if (end == 0 || slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace convkit::io
