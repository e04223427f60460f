#include "convkit/data/sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <set>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "convkit/io/folder.h"
#include "convkit/io/media/image.h"
#include "tests/support/limits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"
#include "tests/support/write_gzip.h"

namespace convkit::data {
namespace {

using io::Bytes;
using io::create_folders;
using io::write_file;
using test::TempDir;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;

// An IDX file of bytes.
Bytes idx(const std::vector<int64_t>& extents, const Bytes& values) {
  Bytes file = {0, 0, 8, static_cast<uint8_t>(extents.size())};
  for (const int64_t extent : extents)
    for (int shift = 24; shift >= 0; shift -= 8)
      file.push_back(static_cast<uint8_t>(extent >> shift));
  file.insert(file.end(), values.begin(), values.end());
  return file;
}

void write_mnist(const std::string& folder) {
  create_folders(folder);
  write_file(folder + "/train-images-idx3-ubyte", idx({2, 1, 2}, {1, 2, 3, 4}));
  write_file(folder + "/train-labels-idx1-ubyte", idx({2}, {7, 0}));
  write_file(folder + "/t10k-images.idx3-ubyte.gz", test::gzip(idx({1, 1, 2}, {5, 6})));
  write_file(folder + "/t10k-labels.idx1-ubyte", idx({1}, {9}));
}

TEST(OpenDataset, FindsFashionMnistWhereDebianPutsIt) {
  if (!io::folder_exists("/usr/share/datasets/fashion-mnist"))
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto [train, test] = open_train_test("fashion-mnist");
  EXPECT_EQ(train->size(), 60'000);
  EXPECT_EQ(test->size(), 10'000);
  EXPECT_EQ(train->sample_shape(), Shape({1, 28, 28}));
  EXPECT_THAT(class_counts(*train), Each(6000));
  EXPECT_THAT(class_counts(*test), Each(1000));
  EXPECT_EQ(train->class_names()[9], "Ankle boot");
  // The first training picture is an ankle boot, the first test picture another.
  EXPECT_EQ(train->label(0), 9);
  EXPECT_EQ(test->label(0), 9);
  EXPECT_EQ(test->name(), "fashion-mnist, test");
}

TEST(OpenDataset, SaysHowToGetFashionMnist) {
  const TempDir folder;
  EXPECT_ERROR(open_dataset("fashion-mnist:" + folder.path(), Split::train), IoError,
               "train-images-idx3-ubyte", folder.path(), "apt install dataset-fashion-mnist",
               "github.com/zalandoresearch/fashion-mnist", "$CONVKIT_DATA");
}

TEST(OpenDataset, LooksIntoTheEnvironmentFirst) {
  const TempDir folder;
  write_mnist(folder / "fashion-mnist");
  setenv("CONVKIT_DATA", folder.path().c_str(), 1);
  const DatasetPtr dataset = open_dataset("fashion-mnist", Split::train);
  unsetenv("CONVKIT_DATA");
  EXPECT_EQ(dataset->size(), 2);
  EXPECT_EQ(dataset->class_names()[7], "Sneaker");
}

TEST(OpenDataset, ReadsMnistPlainOrCompressed) {
  const TempDir folder;
  write_mnist(folder.path());
  const auto [train, test] = open_train_test("mnist:" + folder.path());
  EXPECT_EQ(train->sample_shape(), Shape({1, 1, 2}));
  EXPECT_THAT(train->read(1).bytes(), ElementsAre(3, 4));
  EXPECT_EQ(train->label(0), 7);
  EXPECT_THAT(test->read(0).bytes(), ElementsAre(5, 6));
  EXPECT_EQ(test->label(0), 9);
}

TEST(OpenDataset, RefusesMnistFilesThatDoNotFitTogether) {
  const TempDir folder;
  const std::string spec = "mnist:" + folder.path();
  write_mnist(folder.path());
  write_file(folder / "train-labels-idx1-ubyte", idx({3}, {7, 0, 1}));
  EXPECT_ERROR(open_dataset(spec, Split::train), FormatError, "3 labels", "2 pictures");
  write_file(folder / "train-labels-idx1-ubyte", idx({2}, {7, 10}));
  EXPECT_ERROR(open_dataset(spec, Split::train), FormatError, "label 10", "picture 1", "0 to 9");
  write_file(folder / "train-images-idx3-ubyte", idx({0, 2, 2}, {}));
  EXPECT_ERROR(open_dataset(spec, Split::train), FormatError, "no pictures in it (0×2×2)");
  write_file(folder / "train-images-idx3-ubyte", idx({2, 2}, {1, 2, 3, 4}));
  EXPECT_ERROR(open_dataset(spec, Split::train), FormatError, "(N, H, W)", "2×2");
  write_file(folder / "train-images-idx3-ubyte", Bytes{0, 0, 8, 3, 0, 0});
  EXPECT_ERROR(open_dataset(spec, Split::train), FormatError, "train-images-idx3-ubyte",
               "cut short");
  std::filesystem::remove(folder / "t10k-labels.idx1-ubyte");
  EXPECT_ERROR(open_dataset(spec, Split::test), IoError,
               "mnist: there is no t10k-labels-idx1-ubyte");
}

TEST(OpenDataset, ReadsCifar) {
  const TempDir folder;
  const std::string inner = folder / "cifar-10-batches-bin";
  create_folders(inner);
  for (int i = 1; i <= 5; ++i)
    write_file(inner + "/data_batch_" + std::to_string(i) + ".bin",
               Bytes(3073, static_cast<uint8_t>(i)));
  write_file(inner + "/test_batch.bin", Bytes(2 * 3073, 3));
  const auto [train, test] = open_train_test("cifar10:" + folder.path());
  EXPECT_EQ(train->size(), 5);
  EXPECT_EQ(test->size(), 2);
  EXPECT_EQ(train->sample_shape(), Shape({3, 32, 32}));
  EXPECT_EQ(train->label(4), 5);
  EXPECT_THAT(train->read(4).bytes(), Each(5));
  EXPECT_EQ(train->class_names()[3], "cat");
  EXPECT_EQ(open_dataset("cifar10:" + inner, Split::test)->size(), 2);
  std::filesystem::remove(inner + "/data_batch_4.bin");
  EXPECT_ERROR(open_dataset("cifar10:" + folder.path(), Split::train), IoError,
               "there is no data_batch_4.bin", folder.path(), "www.cs.toronto.edu");
  write_file(inner + "/test_batch.bin", Bytes(3000, 3));
  EXPECT_ERROR(open_dataset("cifar10:" + folder.path(), Split::test), FormatError, "test_batch.bin",
               "3000 bytes");
}

TEST(OpenDataset, ReadsCifar100WithItsNames) {
  const TempDir folder;
  write_file(folder / "test.bin", Bytes(3074, 3));
  EXPECT_EQ(open_dataset("cifar100:" + folder.path(), Split::test)->class_names()[3], "class 3");
  std::string names;
  for (int i = 0; i < 100; ++i) names += "name" + std::to_string(i) + "\n";
  write_file(folder / "fine_label_names.txt", names);
  EXPECT_EQ(open_dataset("cifar100:" + folder.path(), Split::test)->class_names()[3], "name3");
}

TEST(OpenDataset, ListsTheKnownNames) {
  EXPECT_ERROR(open_dataset("imagenet", Split::train), ValueError,
               "there is no data set 'imagenet'", "fashion-mnist", "mnist:DIR", "cifar10:DIR",
               "cifar100:DIR", "folder:DIR");
  EXPECT_ERROR(open_dataset("", Split::train), ValueError, "there is no data set ''");
  EXPECT_ERROR(open_dataset("folder", Split::train), ValueError, "needs a folder: folder:DIR");
  EXPECT_ERROR(open_dataset("mnist:", Split::train), ValueError, "needs a folder: mnist:DIR");
  EXPECT_ERROR(open_dataset("mnist:/no/such", Split::train), IoError, "no folder '/no/such'");
  EXPECT_ERROR(open_dataset("folder:/no/such", Split::train), IoError, "no folder '/no/such'",
               "DIR/train/<class>");
}

TEST(OpenDataset, ResizesAndChangesChannels) {
  const TempDir folder;
  write_mnist(folder.path());
  const DatasetPtr dataset = open_dataset("mnist:" + folder.path(), Split::train,
                                          {.resize = OpenOptions::Size{2, 2}, .channels = 3});
  EXPECT_EQ(dataset->sample_shape(), Shape({3, 2, 2}));
  EXPECT_THAT(dataset->read(0).bytes(), ElementsAre(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2));
  EXPECT_EQ(dataset->read(0).label, 7);
  EXPECT_EQ(dataset->conversion(), "grey to colour, 1×2 to 2×2");
  EXPECT_EQ(open_dataset("mnist:" + folder.path(), Split::train)->conversion(), "");
  EXPECT_ERROR(open_dataset("mnist:" + folder.path(), Split::train, {.channels = 2}), ValueError,
               "channels (2)");
  EXPECT_ERROR(
      open_dataset("mnist:" + folder.path(), Split::train, {.resize = OpenOptions::Size{0, 2}}),
      ValueError, "0×2");
}

// --- folder:DIR ---

void picture(const std::string& path, int64_t height = 2, int64_t width = 2, int64_t channels = 1,
             uint8_t value = 0) {
  io::media::Image image{{height, width, channels}, {}};
  image.pixels.assign(static_cast<std::size_t>(height * width * channels), value);
  io::media::write_png(path, image);
}

// DIR/{train,test}/{cat,dog}, two and one picture each, their grey levels all different.
void write_pets(const TempDir& folder) {
  uint8_t value = 0;
  for (const char* split : {"train", "test"})
    for (const char* name : {"dog", "cat"}) {
      const std::string path = folder / (std::string(split) + "/" + name);
      create_folders(path);
      picture(path + "/b.png", 2, 2, 1, ++value);
      if (split == std::string("train")) picture(path + "/a.PNG", 2, 2, 1, ++value);
    }
}

TEST(Folder, ReadsClassesAndPicturesInTheOrderOfTheirNames) {
  const TempDir folder;
  write_pets(folder);
  write_file(folder / "train/cat/notes.txt", "not a picture");
  const auto [train, test] = open_train_test("folder:" + folder.path());
  EXPECT_THAT(train->class_names(), ElementsAre("cat", "dog"));
  ASSERT_EQ(train->size(), 4);
  EXPECT_EQ(train->sample_shape(), Shape({1, 2, 2}));
  EXPECT_THAT(train->origin(0), EndsWith("train/cat/a.PNG"));
  EXPECT_THAT(train->origin(3), EndsWith("train/dog/b.png"));
  EXPECT_EQ(train->label(1), 0);
  EXPECT_EQ(train->label(2), 1);
  for (int repeat = 0; repeat < 2; ++repeat)  // the second time from memory
    EXPECT_THAT(train->read(0).bytes(), Each(4));
  EXPECT_EQ(test->size(), 2);
  EXPECT_THAT(test->read(1).bytes(), Each(5));
  EXPECT_EQ(test->read(1).label, 1);
}

TEST(Folder, TakesValWhereThereIsNoTest) {
  const TempDir folder;
  write_pets(folder);
  std::filesystem::rename(folder / "test", folder / "val");
  EXPECT_EQ(open_dataset("folder:" + folder.path(), Split::test)->size(), 2);
  std::filesystem::rename(folder / "val", folder / "other");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::test), IoError,
               "neither test nor val", folder / "train");
}

TEST(Folder, SplitsOneFolderBySeed) {
  const TempDir folder;
  for (const char* name : {"cat", "dog"}) {
    create_folders(folder / name);
    for (int i = 10; i < 20; ++i)
      picture(folder / (std::string(name) + "/" + std::to_string(i) + ".png"));
  }
  const auto origins = [&](uint64_t seed) {
    const auto [train, test] = open_train_test("folder:" + folder.path(), {.seed = seed});
    EXPECT_EQ(train->size(), 16);
    EXPECT_THAT(class_counts(*test), ElementsAre(2, 2));
    std::set<std::string> all;
    std::vector<std::string> tested;
    for (int64_t i = 0; i < train->size(); ++i) all.insert(train->origin(i));
    for (int64_t i = 0; i < test->size(); ++i) {
      all.insert(test->origin(i));
      tested.push_back(test->origin(i));
    }
    EXPECT_EQ(all.size(), 20U) << "the two parts overlap";
    return tested;
  };
  EXPECT_EQ(origins(1), origins(1));
  EXPECT_NE(origins(1), origins(2));
  EXPECT_EQ(open_dataset("folder:" + folder.path(), Split::test, {.test_fraction = 0.5})->size(),
            10);
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::test, {.test_fraction = 1}),
               ValueError, "test_fraction (1)");
}

TEST(Folder, SplittingTakesTwoPicturesOfEachClass) {
  const TempDir folder;
  for (const char* name : {"cat", "dog"}) create_folders(folder / name);
  picture(folder / "cat/a.png");
  picture(folder / "cat/b.png");
  picture(folder / "dog/a.png");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), ValueError, "'dog'",
               "one picture", folder / "dog/a.png");
}

TEST(Folder, NamesTheClassThatIsEmpty) {
  const TempDir folder;
  write_pets(folder);
  create_folders(folder / "train/emu");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), ValueError,
               "the class 'emu' is empty", folder / "train/emu", "remove the folder");
}

TEST(Folder, RefusesOneClassAndNone) {
  const TempDir folder;
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), ValueError,
               "no class folders in " + folder.path(), "DIR/train/<class>");
  picture(folder / "a.png");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), ValueError, "only pictures",
               "a folder of its own");
  create_folders(folder / "cat");
  picture(folder / "cat/a.png");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), ValueError, "only one class",
               "'cat'", "two or more");
}

TEST(Folder, RefusesAClassThatTheTrainingSetHasNot) {
  const TempDir folder;
  write_pets(folder);
  create_folders(folder / "test/emu");
  picture(folder / "test/emu/a.png");
  EXPECT_ERROR(open_train_test("folder:" + folder.path()), ValueError, folder / "test", "'emu'",
               "none of the classes: cat, dog");
}

TEST(Folder, TakesTheClassesOfATrainedNet) {
  const TempDir folder;
  write_pets(folder);
  const DatasetPtr test =
      open_dataset("folder:" + folder.path(), Split::test, {.class_names = {"emu", "dog", "cat"}});
  EXPECT_EQ(test->classes(), 3);
  EXPECT_EQ(test->label(0), 1);
  EXPECT_THAT(test->origin(0), EndsWith("dog/b.png"));
}

TEST(Folder, NamesTwoPicturesOfDifferentSizes) {
  const TempDir folder;
  write_pets(folder);
  picture(folder / "train/dog/z.png", 3, 2);
  const std::string spec = "folder:" + folder.path();
  EXPECT_ERROR(open_dataset(spec, Split::train), ShapeError, folder / "train/cat/a.PNG", "is 2×2",
               folder / "train/dog/z.png", "is 3×2", "--resize HxW", "--resize 2x2");
  const DatasetPtr resized = open_dataset(spec, Split::train, {.resize = OpenOptions::Size{4, 5}});
  EXPECT_EQ(resized->sample_shape(), Shape({1, 4, 5}));
  EXPECT_EQ(resized->read(4).bytes().size(), 20U);
}

TEST(Folder, RefusesTestPicturesOfAnotherSize) {
  const TempDir folder;
  write_pets(folder);
  for (const char* name : {"test/cat/b.png", "test/dog/b.png"}) picture(folder / name, 3, 3);
  EXPECT_ERROR(open_train_test("folder:" + folder.path()), ShapeError, "training pictures are 2×2",
               "test pictures 3×3", "--resize 2x2");
}

TEST(Folder, IsRgbAsSoonAsOnePictureHasColour) {
  const TempDir folder;
  write_pets(folder);
  picture(folder / "train/dog/z.png", 2, 2, 4, 9);
  const auto [train, test] = open_train_test("folder:" + folder.path());
  EXPECT_EQ(train->sample_shape(), Shape({3, 2, 2}));
  EXPECT_EQ(test->sample_shape(), Shape({3, 2, 2}));
  EXPECT_THAT(train->read(4).bytes(), Each(9));
  EXPECT_EQ(open_dataset("folder:" + folder.path(), Split::train, {.channels = 1})->sample_shape(),
            Shape({1, 2, 2}));
}

TEST(Folder, SaysWhatIsDoneToItsPictures) {
  const TempDir folder;
  write_pets(folder);
  const std::string spec = "folder:" + folder.path();
  EXPECT_EQ(open_dataset(spec, Split::train)->conversion(), "");
  picture(folder / "train/dog/z.png", 3, 2, 4);
  const OpenOptions options{.resize = OpenOptions::Size{4, 5}};
  EXPECT_EQ(open_dataset(spec, Split::train, options)->conversion(),
            "grey or colour with transparency to colour, several sizes to 4×5");
  EXPECT_EQ(open_dataset(spec, Split::test, options)->conversion(), "2×2 to 4×5");
}

TEST(Folder, NamesThePictureThatIsDamaged) {
  const TempDir folder;
  write_pets(folder);
  write_file(folder / "train/dog/c.png", "no picture");
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), FormatError,
               folder / "train/dog/c.png", "neither PNG nor JPEG");
  // Only the head is looked at when the set is opened: damage behind it shows when it is read.
  const Bytes whole = io::read_file(folder / "train/dog/a.PNG");
  write_file(folder / "train/dog/c.png", std::span(whole).first(40));
  const DatasetPtr dataset = open_dataset("folder:" + folder.path(), Split::train);
  EXPECT_ERROR(dataset->read(4), FormatError, folder / "train/dog/c.png", "damaged PNG");
}

TEST(Folder, NamesWhatMayNotBeRead) {
  const TempDir folder;
  write_pets(folder);
  ASSERT_EQ(chmod((folder / "train/dog/b.png").c_str(), 0), 0);
  const test::WithoutRoot without_root(folder.path());
  EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), IoError,
               folder / "train/dog/b.png", "Permission denied", "chmod +r");
}

TEST(Folder, NamesTheFolderThatMayNotBeRead) {
  const TempDir folder;
  write_pets(folder);
  ASSERT_EQ(chmod((folder / "train/dog").c_str(), 0), 0);
  {
    const test::WithoutRoot without_root(folder.path());
    EXPECT_ERROR(open_dataset("folder:" + folder.path(), Split::train), IoError,
                 folder / "train/dog", "Permission denied");
  }
  ASSERT_EQ(chmod((folder / "train/dog").c_str(), 0755), 0);
}

TEST(Folder, WorksWithoutRoomForTheCache) {
  const TempDir folder;
  write_pets(folder);
  const DatasetPtr dataset =
      open_dataset("folder:" + folder.path(), Split::train, {.cache_bytes = 0});
  for (int repeat = 0; repeat < 2; ++repeat) EXPECT_THAT(dataset->read(0).bytes(), Each(4));
}

}  // namespace
}  // namespace convkit::data
