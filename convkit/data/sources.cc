#include "convkit/data/sources.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "convkit/base/error.h"
#include "convkit/data/folder_dataset.h"
#include "convkit/data/image_sample.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/io/media/cifar.h"
#include "convkit/io/media/idx.h"

namespace convkit::data {
namespace {

constexpr const char* kDebianFolder = "/usr/share/datasets/fashion-mnist";

std::vector<std::string> digits() { return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}; }
std::vector<std::string> clothes() {
  return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
          "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
}
std::vector<std::string> cifar10_classes() {
  return {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
}

std::string conversion_of(const Shape& from, const Shape& to) {
  const io::media::ImageInfo picture{from[1], from[2], from[0]};
  return conversion_text({&picture, 1}, to);
}

// Made to fit another shape as it is read; of data sets in memory only, which are small to keep and
// large to keep resized.
class Fitted final : public Dataset {
 public:
  Fitted(DatasetPtr source, const Shape& shape)
      : Dataset({source->name(), source->class_names(), shape,
                 conversion_of(source->sample_shape(), shape)}),
        source_(std::move(source)) {}
  int64_t size() const override { return source_->size(); }
  int64_t label(int64_t index) const override { return source_->label(index); }
  void read(int64_t index, Sample& sample) const override {
    source_->read(index, sample);
    fit_image(to_image(sample), sample_shape(), sample);
  }
  std::string origin(int64_t index) const override { return source_->origin(index); }
  bool in_memory() const override { return source_->in_memory(); }

 private:
  DatasetPtr source_;
};

DatasetPtr fitted(DatasetPtr dataset, const OpenOptions& options) {
  Shape shape = dataset->sample_shape();
  if (options.channels != 0) shape = shape.with(0, options.channels);
  if (options.resize) shape = {shape[0], options.resize->height, options.resize->width};
  if (shape == dataset->sample_shape()) return dataset;
  return std::make_shared<Fitted>(std::move(dataset), shape);
}

// The first of the names that is a file in one of the folders, or "".
std::string find_file(const std::vector<std::string>& folders,
                      const std::vector<std::string>& names) {
  for (const std::string& folder : folders)
    for (const std::string& name : names)
      if (std::string path = io::join_path(folder, name); io::file_exists(path)) return path;
  return "";
}

std::string joined(const std::vector<std::string>& parts, const char* separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : separator) + part;
  return text;
}

// The four files of MNIST and its kin: `train-images-idx3-ubyte`, with dots or dashes, plain or
// .gz.
std::vector<std::string> idx_names(Split split, bool images) {
  const std::string start = split == Split::train ? "train" : "t10k";
  const std::string kind = images ? "images" : "labels";
  const std::string rank = images ? "idx3-ubyte" : "idx1-ubyte";
  std::vector<std::string> names;
  for (const char* separator : {"-", "."})
    for (const char* ending : {"", ".gz"})
      names.push_back(message(start, "-", kind, separator, rank, ending));
  return names;
}

struct IdxSource {
  std::string name;                  ///< of the data set
  std::vector<std::string> folders;  ///< where to look
  std::vector<std::string> class_names;
  std::string how_to_get;
};

DatasetPtr open_idx(const IdxSource& source, Split split) {
  std::array<std::string, 2> paths;
  for (const bool images : {true, false}) {
    const std::vector<std::string> names = idx_names(split, images);
    const std::string path = find_file(source.folders, names);
    CONVKIT_CHECK(!path.empty(), IoError, source.name, ": there is no ", names[0], " (or .gz) in ",
                  joined(source.folders, " or "), "; ", source.how_to_get);
    paths[images ? 0 : 1] = path;
  }
  io::media::IdxArray images = io::media::read_idx(paths[0]);
  const io::media::IdxArray labels = io::media::read_idx(paths[1]);
  CONVKIT_CHECK(images.shape[0] > 0, FormatError, paths[0], ": there are no pictures in it (",
                images.shape, "); fetch the files anew");
  CONVKIT_CHECK(images.dtype == DType::uint8 && images.shape.dim() == 3 && images.shape.numel() > 0,
                FormatError, paths[0], ": pictures are bytes of shape (N, H, W), not ",
                images.dtype, " ", images.shape);
  CONVKIT_CHECK(labels.dtype == DType::uint8 && labels.shape.dim() == 1, FormatError, paths[1],
                ": labels are bytes of shape (N), not ", labels.dtype, " ", labels.shape);
  CONVKIT_CHECK(labels.shape[0] == images.shape[0], FormatError, paths[1], " has ", labels.shape[0],
                " labels, but ", paths[0], " has ", images.shape[0],
                " pictures; take the two files of one set");
  const auto classes = std::ssize(source.class_names);
  for (std::size_t i = 0; i < labels.values.size(); ++i)
    CONVKIT_CHECK(labels.values[i] < classes, FormatError, paths[1], ": label ",
                  static_cast<int>(labels.values[i]), " of picture ", i, " is none of 0 to ",
                  classes - 1, ", the classes of ", source.name);
  return make_memory_dataset({message(source.name, ", ", split),
                              source.class_names,
                              {1, images.shape[1], images.shape[2]}},
                             std::move(images.values),
                             {labels.values.begin(), labels.values.end()});
}

DatasetPtr open_fashion_mnist(const std::string& folder, Split split) {
  IdxSource source{"fashion-mnist", {}, clothes(), ""};
  if (!folder.empty()) {
    source.folders = {folder};
  } else {
    const char* data = std::getenv("CONVKIT_DATA");  // NOLINT(concurrency-mt-unsafe): read only
    if (data != nullptr && *data != '\0')
      source.folders.push_back(io::join_path(data, "fashion-mnist"));
    source.folders.emplace_back(kDebianFolder);
  }
  source.how_to_get =
      "on Debian or Ubuntu, run: apt install dataset-fashion-mnist; elsewhere, download the four "
      "*-ubyte.gz files named in github.com/zalandoresearch/fashion-mnist into a folder DIR and "
      "give "
      "fashion-mnist:DIR, or into $CONVKIT_DATA/fashion-mnist";
  return open_idx(source, split);
}

DatasetPtr open_mnist(const std::string& folder, Split split) {
  const std::vector<std::string> folders = {folder, io::join_path(folder, "MNIST/raw")};
  return open_idx({"mnist", folders, digits(),
                   "put the four files of MNIST there: train-images-idx3-ubyte, "
                   "train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"},
                  split);
}

std::vector<std::string> cifar_files(io::media::CifarKind kind, Split split) {
  if (kind == io::media::CifarKind::cifar100)
    return {split == Split::train ? "train.bin" : "test.bin"};
  if (split == Split::test) return {"test_batch.bin"};
  return {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
          "data_batch_5.bin"};
}

// The lines of a text file that are not empty; nothing when there is no such file.
std::vector<std::string> lines_of(const std::string& path) {
  if (!io::file_exists(path)) return {};
  std::vector<std::string> lines(1);
  for (const uint8_t byte : io::read_file(path, 1 << 16)) {
    if (byte == '\n') {
      lines.emplace_back();
    } else if (byte != '\r') {
      lines.back() += static_cast<char>(byte);
    }
  }
  std::erase(lines, "");
  return lines;
}

std::vector<std::string> cifar100_classes(const std::string& folder) {
  std::vector<std::string> names = lines_of(io::join_path(folder, "fine_label_names.txt"));
  if (names.size() == 100) return names;
  names.clear();
  for (int i = 0; i < 100; ++i) names.push_back(unnamed_class(i));
  return names;
}

DatasetPtr open_cifar(const std::string& given, io::media::CifarKind kind, Split split) {
  const bool fine = kind == io::media::CifarKind::cifar100;
  const std::string name = fine ? "cifar100" : "cifar10";
  const std::vector<std::string> files = cifar_files(kind, split);
  const std::string usual =
      io::join_path(given, fine ? "cifar-100-binary" : "cifar-10-batches-bin");
  const std::string folder = find_file({given}, {files[0]}).empty() ? usual : given;
  io::media::CifarImages all;
  for (const std::string& file : files) {
    const std::string path = find_file({folder}, {file});
    CONVKIT_CHECK(!path.empty(), IoError, name, ": there is no ", file, " in ", given, " or ",
                  usual,
                  "; unpack the binary version from www.cs.toronto.edu/~kriz/cifar.html there");
    const io::media::CifarImages images = io::media::read_cifar(path, kind);
    all.pixels.insert(all.pixels.end(), images.pixels.begin(), images.pixels.end());
    all.labels.insert(all.labels.end(), images.labels.begin(), images.labels.end());
  }
  return make_memory_dataset({message(name, ", ", split),
                              fine ? cifar100_classes(folder) : cifar10_classes(),
                              {3, io::media::kCifarSide, io::media::kCifarSide}},
                             std::move(all.pixels), std::move(all.labels));
}

// The two parts of `fashion-mnist`, `folder:DIR`, ...
struct Spec {
  std::string name;
  std::string folder;
};

Spec parse_spec(const std::string& text) {
  const std::size_t colon = text.find(':');
  Spec spec{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
  constexpr std::array<std::string_view, 5> kNames = {"fashion-mnist", "mnist", "cifar10",
                                                      "cifar100", "folder"};
  CONVKIT_CHECK(std::find(kNames.begin(), kNames.end(), spec.name) != kNames.end(), ValueError,
                "there is no data set '", text,
                "'; known are fashion-mnist, mnist:DIR, cifar10:DIR, cifar100:DIR and folder:DIR");
  CONVKIT_CHECK(!spec.folder.empty() || spec.name == kNames[0], ValueError, "the data set '", text,
                "' needs a folder: ", spec.name, ":DIR");
  return spec;
}

DatasetPtr open_by_name(const std::string& spec, Split split, const OpenOptions& options) {
  const auto& [name, folder] = parse_spec(spec);
  if (name == "folder") return open_folder(folder, split, options);
  CONVKIT_CHECK(folder.empty() || io::folder_exists(folder), IoError, name,
                ": there is no folder '", folder, "'; name the folder that holds the files");
  if (name == "fashion-mnist") return fitted(open_fashion_mnist(folder, split), options);
  if (name == "mnist") return fitted(open_mnist(folder, split), options);
  const auto kind =
      name == "cifar10" ? io::media::CifarKind::cifar10 : io::media::CifarKind::cifar100;
  return fitted(open_cifar(folder, kind, split), options);
}

}  // namespace

void check_spec(const std::string& spec) { static_cast<void>(parse_spec(spec)); }

std::string to_text(Split split) { return split == Split::train ? "train" : "test"; }

std::string known_datasets() {
  return "  fashion-mnist[:DIR]  60,000 + 10,000 pictures of clothes, 28×28 grey, 10 classes\n"
         "  mnist:DIR            digits, four IDX files, plain or .gz\n"
         "  cifar10:DIR          the binary version, 32×32 RGB, 10 classes\n"
         "  cifar100:DIR         the binary version, 32×32 RGB, 100 classes\n"
         "  folder:DIR           DIR/train/<class>/*.png|jpg and DIR/test/<class>/*.png|jpg, or\n"
         "                       DIR/<class>/*.png|jpg, split by the seed\n";
}

DatasetPtr open_dataset(const std::string& spec, Split split, const OpenOptions& options) {
  CONVKIT_CHECK(options.channels == 0 || options.channels == 1 || options.channels == 3, ValueError,
                "channels (", options.channels,
                ") must be 1 (grey), 3 (RGB) or 0 (as the files are)");
  CONVKIT_CHECK(!options.resize || (options.resize->height >= 1 && options.resize->width >= 1),
                ValueError, "resize: the size ", options.resize ? options.resize->height : 0, "×",
                options.resize ? options.resize->width : 0, " must be at least 1×1");
  return open_by_name(spec, split, options);
}

TrainTest open_train_test(const std::string& spec, const OpenOptions& options) {
  TrainTest both;
  both.train = open_dataset(spec, Split::train, options);
  OpenOptions as_train = options;
  const Shape& shape = both.train->sample_shape();
  as_train.channels = shape[0];
  as_train.class_names = both.train->class_names();
  both.test = open_dataset(spec, Split::test, as_train);
  CONVKIT_CHECK(both.test->sample_shape() == shape, ShapeError, spec,
                ": the training pictures are ", shape[1], "×", shape[2], ", the test pictures ",
                both.test->sample_shape()[1], "×", both.test->sample_shape()[2],
                "; make them equal with --resize HxW, say --resize ", shape[1], "x", shape[2]);
  return both;
}

}  // namespace convkit::data
