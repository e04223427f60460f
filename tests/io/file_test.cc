#include "convkit/io/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "convkit/base/error.h"
#include "convkit/io/folder.h"
#include "tests/support/limits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::io {
namespace {

using test::TempDir;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string text_of(const std::string& path) {
  const Bytes bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

TEST(ReadFile, ReturnsEveryByte) {
  const TempDir folder;
  const std::string text("a\0b\xFF\n", 5);
  std::ofstream(folder / "f", std::ios::binary) << text;
  EXPECT_EQ(text_of(folder / "f"), text);
  std::ofstream(folder / "empty").flush();
  EXPECT_EQ(text_of(folder / "empty"), "");
}

TEST(ReadFile, SaysThatAFileOrItsFolderIsMissing) {
  const TempDir folder;
  EXPECT_ERROR(read_file(folder / "none"), IoError, "cannot read '" + (folder / "none") + "'",
               "No such file", "check the name");
  EXPECT_ERROR(read_file(folder / "a/b"), IoError, "there is no folder " + (folder / "a"));
}

TEST(ReadFile, RefusesFoldersPipesAndDevices) {
  const TempDir folder;
  EXPECT_ERROR(read_file(folder.path()), IoError, folder.path(), "it is a folder; name a file");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_ERROR(read_file(folder / "pipe"), IoError, "a device or a pipe");
  EXPECT_ERROR(read_file("/dev/zero"), IoError, "/dev/zero", "a device or a pipe");
}

TEST(ReadFile, SaysThatAFileMayNotBeRead) {
  const TempDir folder;
  write_file(folder / "secret", "x");
  ASSERT_EQ(chmod((folder / "secret").c_str(), 0), 0);
  const test::WithoutRoot without_root(folder.path());
  EXPECT_ERROR(read_file(folder / "secret"), IoError, folder / "secret", "Permission denied",
               "chmod +r");
}

TEST(ReadFile, RefusesMoreThanTheLimit) {
  const TempDir folder;
  write_file(folder / "f", "12345");
  EXPECT_EQ(read_file(folder / "f", 5).size(), 5U);
  EXPECT_ERROR(read_file(folder / "f", 4), IoError, folder / "f", "5 bytes", "4");
}

TEST(ReadFile, RefusesAFileLargerThanMemoryBeforeItTakesAny) {
  const TempDir folder;
  std::ofstream(folder / "sparse") << "x";
  if (truncate((folder / "sparse").c_str(), default_read_limit() + 1) != 0)
    GTEST_SKIP() << "this file system has no sparse files of that size";
  EXPECT_ERROR(read_file(folder / "sparse"), IoError, folder / "sparse", "more than the");
}

TEST(InputFile, ReadsPiecesAndSaysWhereTheFileEnds) {
  const TempDir folder;
  write_file(folder / "f", "0123456789");
  const InputFile file(folder / "f");
  EXPECT_EQ(file.size(), 10);
  Bytes piece(3);
  file.read_at(4, piece);
  EXPECT_THAT(piece, ElementsAre('4', '5', '6'));
  EXPECT_ERROR(file.read_at(8, piece), IoError, folder / "f", "ends at byte 10", "1 bytes early");
}

TEST(WriteFile, ReplacesTheOldContents) {
  const TempDir folder;
  write_file(folder / "f", "a long first version");
  write_file(folder / "f", "second");
  EXPECT_EQ(text_of(folder / "f"), "second");
  EXPECT_THAT(list_folder(folder.path()).files, ElementsAre("f"));
}

TEST(WriteFile, KeepsTheOldMode) {
  const TempDir folder;
  write_file(folder / "f", "a");
  ASSERT_EQ(chmod((folder / "f").c_str(), 0600), 0);
  write_file(folder / "f", "b");
  struct stat status {};
  ASSERT_EQ(stat((folder / "f").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST(WriteFile, FollowsASymbolicLink) {
  const TempDir folder;
  create_folders(folder / "real");
  write_file(folder / "real/f", "a");
  ASSERT_EQ(symlink((folder / "real/f").c_str(), (folder / "link").c_str()), 0);
  write_file(folder / "link", "b");
  EXPECT_EQ(text_of(folder / "real/f"), "b");
  struct stat status {};
  ASSERT_EQ(lstat((folder / "link").c_str(), &status), 0);
  EXPECT_TRUE(S_ISLNK(status.st_mode));
}

TEST(WriteFile, RefusesFoldersPipesAndDevices) {
  const TempDir folder;
  EXPECT_ERROR(write_file(folder.path(), "x"), IoError, folder.path(), "it is a folder");
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_ERROR(write_file(folder / "pipe", "x"), IoError, "a device or a pipe");
  EXPECT_ERROR(write_file("/dev/null", "x"), IoError, "a device or a pipe");
}

TEST(WriteFile, SaysThatTheFolderIsMissing) {
  const TempDir folder;
  EXPECT_ERROR(write_file(folder / "none/f", "x"), IoError, folder / "none/f", "No such file",
               "make the folder " + (folder / "none") + " first");
}

// Every name in the folder, hidden ones too: nothing half-written may stay.
std::vector<std::string> all_names(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  return names;
}

TEST(WriteFile, LeavesTheOldFileWhenTheDiskIsFull) {
  const TempDir folder;
  write_file(folder / "f", "old");
  {
    // A limit on the size of files fails a write just as a full disk does, and needs no root.
    const test::FileSizeLimit limit(4096);
    EXPECT_ERROR(write_file(folder / "f", Bytes(10000)), IoError, "cannot write", folder / "f",
                 "File too large", "ulimit -f");
  }
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(all_names(folder.path()), ElementsAre("f"));
}

TEST(WriteFile, SaysSoOnADiskWithoutSpace) {
  // Where /dev/full is, writing to it fails with ENOSPC; AtomicFile itself refuses devices, so the
  // words are tested through a file system of 64 KiB where the test may mount one.
  const TempDir folder;
  const test::SmallDisk disk(folder.path(), 64 << 10);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small file system needs root";
  write_file(folder / "f", "old");
  EXPECT_ERROR(write_file(folder / "f", Bytes(200'000)), IoError, folder / "f",
               "No space left on device", "free some space");
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(all_names(folder.path()), ElementsAre("f"));
}

TEST(WriteFile, SaysThatTheFolderIsReadOnly) {
  const TempDir folder;
  write_file(folder / "f", "old");
  ASSERT_EQ(chmod(folder.path().c_str(), 0555), 0);
  {
    const test::WithoutRoot without_root;
    EXPECT_ERROR(write_file(folder / "f", "new"), IoError, folder / "f", "Permission denied",
                 "choose a folder you may write to");
  }
  EXPECT_EQ(text_of(folder / "f"), "old");
  ASSERT_EQ(chmod(folder.path().c_str(), 0755), 0);
}

TEST(AtomicFile, ChangesNothingWithoutCommit) {
  const TempDir folder;
  write_file(folder / "f", "old");
  {
    AtomicFile file(folder / "f");
    file.write("half");
    EXPECT_EQ(text_of(folder / "f"), "old");
  }
  EXPECT_EQ(text_of(folder / "f"), "old");
  EXPECT_THAT(all_names(folder.path()), ElementsAre("f"));
}

TEST(AtomicFile, LeavesNothingThatCannotBeCleanedUp) {
  const TempDir folder;
  write_file(folder / "mine.tmp", "x");
  const AtomicFile half(folder / "f");
  ASSERT_EQ(all_names(folder.path()).size(), 2U);
  remove_temporary_files(folder.path());  // as after a kill
  EXPECT_EQ(all_names(folder.path()), std::vector<std::string>{"mine.tmp"});
  remove_temporary_files(folder / "none");
}

TEST(AtomicFile, TakesTheLongestName) {
  const TempDir folder;
  const std::string name(255, 'n');
  write_file(folder / name, "x");
  EXPECT_EQ(text_of(folder / name), "x");
  EXPECT_ERROR(write_file(folder / (name + "n"), "x"), IoError, "File name too long",
               "use a shorter name");
  EXPECT_THAT(all_names(folder.path()), ElementsAre(name));
}

TEST(Folder, MakesAllFoldersOfAPath) {
  const TempDir folder;
  create_folders(folder / "a/b//c/");
  EXPECT_TRUE(folder_exists(folder / "a/b/c"));
  create_folders(folder / "a/b/c");
  write_file(folder / "a/f", "x");
  EXPECT_ERROR(create_folders(folder / "a/f/g"), IoError, "'" + (folder / "a/f") + "'",
               "File exists");
  EXPECT_ERROR(create_folders(folder / "a/f"), IoError, folder / "a/f", "a file of that name");
}

TEST(Folder, ListsSortedNamesWithoutHiddenOnes) {
  const TempDir folder;
  for (const char* name : {"b", "B", "a", ".hidden", "10", "9"}) write_file(folder / name, "");
  create_folders(folder / "z");
  create_folders(folder / "y");
  ASSERT_EQ(symlink((folder / "z").c_str(), (folder / "link").c_str()), 0);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  const FolderContent content = list_folder(folder.path());
  EXPECT_THAT(content.files, ElementsAre("10", "9", "B", "a", "b"));
  EXPECT_THAT(content.folders, ElementsAre("link", "y", "z"));
  EXPECT_THAT(list_folder(folder / "z").files, IsEmpty());
}

TEST(Folder, IsLockedByOneAtATime) {
  const TempDir folder;
  {
    const FolderLock first(folder.path());
    EXPECT_TRUE(first.held());
    EXPECT_FALSE(FolderLock(folder.path()).held());
  }
  EXPECT_TRUE(FolderLock(folder.path()).held());
  EXPECT_TRUE(all_names(folder.path()).empty()) << "a lock leaves no file";
  EXPECT_ERROR(FolderLock(folder / "none"), IoError, folder / "none", "No such file");
}

TEST(Folder, SaysWhyItCannotBeRead) {
  const TempDir folder;
  write_file(folder / "f", "");
  create_folders(folder / "closed");
  ASSERT_EQ(chmod((folder / "closed").c_str(), 0), 0);
  EXPECT_ERROR(list_folder(folder / "none"), IoError, folder / "none", "No such file");
  EXPECT_ERROR(list_folder(folder / "f"), IoError, folder / "f", "Not a directory");
  const test::WithoutRoot without_root(folder.path());
  EXPECT_ERROR(list_folder(folder / "closed"), IoError, folder / "closed", "Permission denied");
}

}  // namespace
}  // namespace convkit::io
