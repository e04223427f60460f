#include "convkit/io/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "convkit/base/error.h"
#include "convkit/io/file.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::io {
namespace {

using test::TempDir;

std::string data_file(const std::string& name) {
  return std::string(CONVKIT_TEST_DATA) + "/data_files/" + name;
}

std::vector<double> counting(int64_t count) {
  std::vector<double> values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), 0);
  return values;
}

// An npy file by hand, to break its rules.
Bytes npy(const std::string& header, std::size_t data_bytes, int major = 1) {
  Bytes bytes = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<uint8_t>(major), 0};
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i)
    bytes.push_back(static_cast<uint8_t>(header.size() >> (8 * i)));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

TEST(Npy, ReadsWhatNumPyWrote) {
  const struct {
    const char* name;
    DType dtype;
  } files[] = {{"c_order.npy", DType::float32},
               {"fortran.npy", DType::int16},
               {"version2.npy", DType::uint8},
               {"version3.npy", DType::uint8}};
  for (const auto& file : files) {
    const Tensor tensor = load_npy(data_file(file.name));
    EXPECT_EQ(tensor.dtype(), file.dtype) << file.name;
    EXPECT_EQ(tensor.shape(), Shape({2, 3, 4})) << file.name;
    EXPECT_EQ(tensor.to(DType::float64).to_vector<double>(), counting(24)) << file.name;
  }
  EXPECT_EQ(load_npy(data_file("scalar.npy")).item(), 1.5);
}

TEST(Npy, WritesWhatNumPyWrites) {
  const Tensor tensor = arange(24).reshaped({2, 3, 4});
  EXPECT_EQ(serialize_npy(tensor), read_file(data_file("c_order.npy")));
  EXPECT_EQ(serialize_npy(full({}, 1.5, DType::float64)), read_file(data_file("scalar.npy")));
}

TEST(Npy, ReadsBackEveryTypeAndRank) {
  const TempDir folder;
  for (const DType dtype :
       {DType::float32, DType::float64, DType::float16, DType::int8, DType::uint8, DType::int16,
        DType::uint16, DType::int32, DType::uint32, DType::int64, DType::uint64, DType::boolean}) {
    for (const Shape& shape :
         {Shape{}, Shape{0}, Shape{3}, Shape{2, 3}, Shape{2, 3, 2}, Shape{1, 2, 3, 2, 1, 2}}) {
      const Tensor tensor = arange(shape.numel()).reshaped(shape).to(dtype);
      save_npy(folder / "t.npy", tensor);
      EXPECT_TRUE(bit_equal(load_npy(folder / "t.npy"), tensor))
          << to_text(dtype) << to_text(shape);
    }
  }
}

TEST(Npy, HasNoBFloat16) {
  EXPECT_ERROR(serialize_npy(zeros({1}, DType::bfloat16)), DTypeError, "bfloat16", "float32");
}

TEST(Npy, RefusesWhatIsNoPlainArray) {
  EXPECT_ERROR(load_npy(data_file("big_endian.npy")), FormatError, "big_endian.npy", "'>f4'",
               "big-endian", "newbyteorder");
  EXPECT_ERROR(load_npy(data_file("object.npy")), FormatError, "object.npy", "pickled");
  EXPECT_ERROR(load_npy(data_file("structured.npy")), FormatError, "structured.npy",
               "structured array");
  EXPECT_ERROR(load_npy(data_file("none.npy")), IoError, "none.npy", "No such file");
}

TEST(Npy, RefusesEveryBrokenHeaderInWords) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  EXPECT_EQ(parse_npy(npy(good, 8)).shape(), Shape({2}));
  EXPECT_EQ(parse_npy(npy("{\"shape\":(2L,),'fortran_order':True,'descr':'<f4'}\n", 8)).numel(), 2);
  const auto with_shape = [](const std::string& shape) {
    return "{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + "}";
  };
  const struct {
    Bytes bytes;
    const char* words;
  } cases[] = {
      {{}, "not an npy file"},
      {{0x93, 'N', 'U', 'M', 'P', 'Z', 1, 0, 0, 0}, "not an npy file"},
      {{0x93, 'N', 'U', 'M', 'P', 'Y', 1}, "cut short after 7 bytes"},
      {npy(good, 8, 4), "version 4.0"},
      {{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 1, 0}, "cut short"},
      {{0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, 50, 0, '{'}, "should have 50 bytes"},
      {{0x93, 'N', 'U', 'M', 'P', 'Y', 2, 0, 0, 0, 0, 0x7F}, "limit"},
      {npy(good, 7), "needs 8 bytes, but 7 follow the header; the file is cut short"},
      {npy(good, 9), "needs 8 bytes, but 9 follow"},
      {npy("", 8), "expected '{'"},
      {npy("{'descr': '<f4', 'shape': (2,)}", 8), "must have 'descr', 'fortran_order' and 'shape'"},
      {npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 8), "twice"},
      {npy(good + "x", 8), "behind the header's '}'"},
      {npy("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", 8), "expected True or False"},
      {npy("{'descr': '<f4', 'order': False, 'shape': (2,)}", 8), "unknown key 'order'"},
      {npy("{'descr': '<f4, 'fortran_order", 8), "expected"},
      {npy("{'descr': '<f4", 8), "without an end"},
      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", 16), "'<c8'"},
      {npy(with_shape("(-2,)"), 8), "integer >= 0"},
      {npy(with_shape("[2]"), 8), "expected '('"},
      {npy(with_shape("(2 3)"), 8), "expected ','"},
      {npy(with_shape("(99999999999999999999,)"), 8), "63 bits"},
      {npy(with_shape("(4294967296,4294967296)"), 8), "64 bits"},
      {npy(with_shape("(0,4294967296,4294967296)"), 0), "64 bits"},
      {npy(with_shape("(1,1,1,1,1,1,1,1,1)"), 4), "more than 8 axes"},
      {npy(with_shape("("), 4), "integer >= 0"},
  };
  for (const auto& broken : cases)
    EXPECT_ERROR(parse_npy(broken.bytes, "x.npy"), FormatError, "x.npy: ", broken.words);
}

TEST(Npy, RefusesEveryTruncation) {
  const Bytes whole = serialize_npy(arange(4));
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(parse_npy(std::span(whole).first(size)), FormatError) << size;
}

}  // namespace
}  // namespace convkit::io
