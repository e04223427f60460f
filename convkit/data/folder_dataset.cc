#include "convkit/data/folder_dataset.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <numeric>

#include "convkit/base/error.h"
#include "convkit/base/random.h"
#include "convkit/data/image_sample.h"
#include "convkit/io/folder.h"
#include "convkit/io/media/image.h"

namespace convkit::data {
namespace {

constexpr const char* kStructure =
    "expected DIR/train/<class>/*.png|jpg and DIR/test/<class>/*.png|jpg, or DIR/<class>/*.png|jpg";

struct Picture {
  std::string path;
  int64_t label = 0;
};

class FolderDataset final : public Dataset {
 public:
  FolderDataset(Description description, std::vector<Picture> pictures, int64_t cache_bytes)
      : Dataset(std::move(description)), pictures_(std::move(pictures)) {
    const int64_t item = sample_shape().numel();
    if (item <= cache_bytes / std::max<int64_t>(1, size())) cache_.resize(pictures_.size());
  }

  int64_t size() const override { return std::ssize(pictures_); }
  int64_t label(int64_t index) const override { return at(index).label; }
  std::string origin(int64_t index) const override { return at(index).path; }

  void read(int64_t index, Sample& sample) const override {
    const Picture& picture = at(index);
    sample.label = picture.label;
    const auto position = static_cast<std::size_t>(index);
    if (!cache_.empty()) {
      std::shared_ptr<const std::vector<uint8_t>> cached;
      {
        const std::lock_guard lock(mutex_);
        cached = cache_[position];
      }
      if (cached) {
        sample.make_bytes(sample_shape()) = *cached;
        return;
      }
    }
    fit_image(io::media::read_image(picture.path), sample_shape(), sample);
    if (cache_.empty()) return;
    auto copy = std::make_shared<const std::vector<uint8_t>>(sample.bytes());
    const std::lock_guard lock(mutex_);
    cache_[position] = std::move(copy);
  }

 private:
  const Picture& at(int64_t index) const {
    check_index(index);
    return pictures_[static_cast<std::size_t>(index)];
  }

  std::vector<Picture> pictures_;
  mutable std::mutex mutex_;
  /// Decoded pictures by index; no entries at all when they would not fit.
  mutable std::vector<std::shared_ptr<const std::vector<uint8_t>>> cache_;
};

// Paths of the pictures in one class's folder, in ascending order.
std::vector<std::string> pictures_of(const std::string& folder, const std::string& name) {
  std::vector<std::string> paths;
  for (const std::string& file : io::list_folder(folder).files)
    if (io::media::has_image_name(file)) paths.push_back(io::join_path(folder, file));
  CONVKIT_CHECK(!paths.empty(), ValueError, "the class '", name,
                "' is empty: there is no *.png, "
                "*.jpg or *.jpeg in ",
                folder, "; put pictures there or remove the folder");
  return paths;
}

// The class folders of `root`; throws unless there are `at_least` of them.
std::vector<std::string> class_folders(const std::string& root, std::size_t at_least) {
  const io::FolderContent content = io::list_folder(root);
  const bool has_pictures =
      std::any_of(content.files.begin(), content.files.end(), io::media::has_image_name);
  CONVKIT_CHECK(
      !content.folders.empty(), ValueError, "there are no class folders in ", root,
      has_pictures ? ", only pictures; give each class a folder of its own with its name" : "",
      "; ", kStructure);
  CONVKIT_CHECK(content.folders.size() >= at_least, ValueError, "there is only one class in ", root,
                ", '", content.folders[0], "'; to tell classes apart takes two or more folders");
  return content.folders;
}

int64_t label_of(const std::string& name, const std::vector<std::string>& class_names,
                 const std::string& root) {
  const auto found = std::find(class_names.begin(), class_names.end(), name);
  if (found != class_names.end()) return found - class_names.begin();
  std::string known;
  for (const std::string& each : class_names) known += (known.empty() ? "" : ", ") + each;
  throw ValueError(message(root, " has a folder '", name, "', which is none of the classes: ",
                           known, "; remove it, or add the class to the training set"));
}

// The part of one class's pictures that belongs to `split`, in the order of their names.
std::vector<std::string> split_class(std::vector<std::string> paths, const std::string& name,
                                     int64_t label, Split split, const OpenOptions& options) {
  CONVKIT_CHECK(paths.size() >= 2, ValueError, "the class '", name, "' has one picture, ", paths[0],
                "; it takes two or more to split it into training and test");
  std::vector<std::size_t> order(paths.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Generator generator = Generator(options.seed).split(static_cast<uint64_t>(label));
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[generator.below(i)]);
  const auto count = static_cast<double>(paths.size());
  const auto test_count = static_cast<std::size_t>(
      std::clamp(std::nearbyint(count * options.test_fraction), 1.0, count - 1));
  const auto cut = order.begin() + static_cast<std::ptrdiff_t>(test_count);
  std::vector<std::size_t> chosen =
      split == Split::test ? std::vector(order.begin(), cut) : std::vector(cut, order.end());
  std::sort(chosen.begin(), chosen.end());
  std::vector<std::string> part;
  part.reserve(chosen.size());
  for (const std::size_t i : chosen) part.push_back(std::move(paths[i]));
  return part;
}

// What the head of every picture says, in their order.
std::vector<io::media::ImageInfo> heads_of(const std::vector<Picture>& pictures) {
  std::vector<io::media::ImageInfo> heads;
  heads.reserve(pictures.size());
  for (const Picture& picture : pictures) heads.push_back(io::media::read_image_info(picture.path));
  return heads;
}

// The shape of the samples.
Shape common_shape(const std::vector<Picture>& pictures,
                   const std::vector<io::media::ImageInfo>& heads, const std::string& folder,
                   const OpenOptions& options) {
  const io::media::ImageInfo& first = heads[0];
  bool colour = false;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const Picture& picture = pictures[i];
    const io::media::ImageInfo& info = heads[i];
    colour = colour || info.channels >= 3;
    CONVKIT_CHECK(options.resize || (info.height == first.height && info.width == first.width),
                  ShapeError, "the pictures of ", folder, " differ in size: ", pictures[0].path,
                  " is ", first.height, "×", first.width, ", ", picture.path, " is ", info.height,
                  "×", info.width, "; make them equal with --resize HxW, say --resize ",
                  first.height, "x", first.width);
  }
  const int64_t channels = options.channels != 0 ? options.channels : colour ? 3 : 1;
  if (options.resize) return {channels, options.resize->height, options.resize->width};
  return {channels, first.height, first.width};
}

// The folder that holds a split's class folders, and whether it has to be split by seed.
struct Root {
  std::string path;
  bool seeded = false;
};

Root find_root(const std::string& folder, Split split) {
  CONVKIT_CHECK(io::folder_exists(folder), IoError, "there is no folder '", folder, "'; ",
                kStructure);
  const std::string train = io::join_path(folder, "train");
  if (!io::folder_exists(train)) return {folder, true};
  if (split == Split::train) return {train};
  for (const char* name : {"test", "val"})
    if (const std::string path = io::join_path(folder, name); io::folder_exists(path))
      return {path};
  throw IoError(message(folder,
                        " has a folder train, but neither test nor val; make one of them, or "
                        "give ",
                        train, " itself, which a seed then splits"));
}

}  // namespace

DatasetPtr open_folder(const std::string& folder, Split split, const OpenOptions& options) {
  CONVKIT_CHECK(options.test_fraction > 0 && options.test_fraction < 1, ValueError,
                "test_fraction (", options.test_fraction, ") must lie between 0 and 1");
  const Root root = find_root(folder, split);
  std::vector<std::string> class_names = options.class_names;
  if (class_names.empty())
    class_names = class_folders(root.seeded ? root.path : find_root(folder, Split::train).path, 2);

  std::vector<Picture> pictures;
  for (const std::string& name : class_folders(root.path, 1)) {
    const int64_t label = label_of(name, class_names, root.path);
    std::vector<std::string> paths = pictures_of(io::join_path(root.path, name), name);
    if (root.seeded) paths = split_class(std::move(paths), name, label, split, options);
    for (std::string& path : paths) pictures.push_back({std::move(path), label});
  }
  // Given class names may have another order than the folders; equal labels stay in name order.
  std::stable_sort(pictures.begin(), pictures.end(),
                   [](const Picture& a, const Picture& b) { return a.label < b.label; });
  const std::vector<io::media::ImageInfo> heads = heads_of(pictures);
  const Shape shape = common_shape(pictures, heads, root.path, options);
  return std::make_shared<FolderDataset>(
      Dataset::Description{message("folder:", folder, ", ", split), std::move(class_names), shape,
                           conversion_text(heads, shape)},
      std::move(pictures), options.cache_bytes);
}

}  // namespace convkit::data
