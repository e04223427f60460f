// Every rule of the safetensors format, broken one at a time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convkit/base/error.h"
#include "convkit/base/random.h"
#include "convkit/io/file.h"
#include "convkit/io/safetensors.h"
#include "tests/support/temp_dir.h"
#include "tests/support/throws.h"

namespace convkit::io {
namespace {

Bytes with_length(uint64_t length, const std::string& header, std::size_t data_bytes) {
  Bytes bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(length >> (8 * i)));
  bytes.insert(bytes.end(), header.begin(), header.end());
  bytes.resize(bytes.size() + data_bytes);
  return bytes;
}

Bytes file_of(const std::string& header, std::size_t data_bytes) {
  return with_length(header.size(), header, data_bytes);
}

struct Malformed {
  std::string name;
  Bytes bytes;
  std::vector<std::string> words;  ///< that the message must contain
};

void PrintTo(const Malformed& malformed, std::ostream* out) { *out << malformed.name; }

std::vector<Malformed> malformed_files() {
  const std::string good = R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  return {
      {"Empty", {}, {"0 bytes"}},
      {"SevenBytes", Bytes(7, 1), {"7 bytes", "takes 8"}},
      {"HeaderAboveTheLimit", with_length(100'000'001, good, 8), {"100000001", "100000000"}},
      {"HeaderLengthOfAllOnes", with_length(UINT64_MAX, good, 8), {"18446744073709551615"}},
      {"HeaderLongerThanTheFile", with_length(1000, good, 8), {"1000 bytes", "cut short"}},
      {"HeaderEmpty", file_of("", 8), {"must begin with '{'"}},
      {"HeaderStartsWithSpace", file_of(" " + good, 8), {"must begin with '{'", "byte 32"}},
      {"HeaderIsAList", file_of("[]", 0), {"must begin with '{'"}},
      {"HeaderIsNotJson", file_of("{]}", 0), {"not JSON near byte"}},
      {"HeaderCutShort", with_length(good.size() - 1, good, 8), {"not JSON near byte 62"}},
      {"HeaderEndsInNewline", file_of(good + "\n", 8), {"byte 10", "only spaces"}},
      {"TwoObjects", file_of(good + good, 8), {"not JSON near byte"}},
      {"TrailingComma",
       file_of(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},})", 8),
       {"not JSON"}},
      {"HeaderIsNotUtf8",
       file_of("{\"\xFF\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4),
       {"not JSON near byte", "UTF-8"}},
      {"NotANumber",
       file_of(R"({"t":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}})", 8),
       {"not JSON"}},
      {"DeepNesting",
       file_of(R"({"t":{"shape":)" + std::string(5'000'000, '[') + "}}", 0),
       {"'t'", "a list"}},
      {"DeepObjects", file_of(R"({"t":{"dtype":{"a":{}}}})", 0), {"'t'", "dtype", "an object"}},
      {"NameTwice",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
               R"("t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
               2),
       {"'t' stands twice"}},
      {"KeyTwice",
       file_of(R"({"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
       {"'t'", "'dtype' stands twice"}},
      {"MetadataTwice",
       file_of(R"({"__metadata__":{},"__metadata__":{}})", 0),
       {"'__metadata__' stands twice"}},
      {"MetadataKeyTwice",
       file_of(R"({"__metadata__":{"a":"1","a":"2"}})", 0),
       {"__metadata__", "'a' stands twice"}},
      {"MetadataIsAString",
       file_of(R"({"__metadata__":"a"})", 0),
       {"'__metadata__'", "must be an object"}},
      {"MetadataHoldsANumber",
       file_of(R"({"__metadata__":{"a":1}})", 0),
       {"__metadata__: 'a'", "must be a string"}},
      {"MetadataHoldsAnObject",
       file_of(R"({"__metadata__":{"a":{}}})", 0),
       {"__metadata__: 'a'", "an object", "must be a string"}},
      {"MetadataHoldsNull", file_of(R"({"__metadata__":{"a":null}})", 0), {"'a'", "null"}},
      {"EntryIsANumber", file_of(R"({"t":1})", 0), {"'t'", "must be an object"}},
      {"EntryIsNull", file_of(R"({"t":null})", 0), {"'t'", "null"}},
      {"NoType", file_of(R"({"t":{"shape":[],"data_offsets":[0,1]}})", 1), {"'t' has no dtype"}},
      {"NoShape", file_of(R"({"t":{"dtype":"U8","data_offsets":[0,1]}})", 1), {"'t' has no shape"}},
      {"NoOffsets", file_of(R"({"t":{"dtype":"U8","shape":[1]}})", 1), {"'t' has no data_offsets"}},
      {"UnknownKey",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1),
       {"'t'", "unknown key 'x'"}},
      {"TypeIsANumber",
       file_of(R"({"t":{"dtype":1,"shape":[1],"data_offsets":[0,1]}})", 1),
       {"'t'", "dtype", "must be a string"}},
      {"UnknownType",
       file_of(R"({"t":{"dtype":"Q7","shape":[1],"data_offsets":[0,1]}})", 1),
       {"'t'", "'Q7'", "F32"}},
      {"TypeInLowerCase",
       file_of(R"({"t":{"dtype":"f32","shape":[1],"data_offsets":[0,4]}})", 4),
       {"'t'", "'f32'"}},
      {"Float8",
       file_of(R"({"t":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1),
       {"'t'", "'F8_E4M3'", "convert the tensor to F16 or F32"}},
      {"ShapeIsANumber",
       file_of(R"({"t":{"dtype":"U8","shape":1,"data_offsets":[0,1]}})", 1),
       {"'t'", "shape", "list of integers"}},
      {"ShapeHoldsAString",
       file_of(R"({"t":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1),
       {"'t'", "shape", "a string"}},
      {"ShapeHoldsAList",
       file_of(R"({"t":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1),
       {"'t'", "shape", "a list"}},
      {"NegativeExtent",
       file_of(R"({"t":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1),
       {"'t'", "shape", "-1"}},
      {"FractionalExtent",
       file_of(R"({"t":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1),
       {"'t'", "1.0"}},
      {"ExtentAbove63Bits",
       file_of(R"({"t":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1]}})", 1),
       {"'t'", "9223372036854775808"}},
      {"ShapeOverflows",
       file_of(R"({"t":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0),
       {"'t'", "4294967296", "64 bits"}},
      {"BytesOverflow",
       file_of(R"({"t":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0),
       {"'t'", "64 bits"}},
      {"TooManyAxes",
       file_of(R"({"t":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1),
       {"'t'", "8 axes"}},
      {"OneOffset",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1),
       {"'t'", "data_offsets (0,) must be [begin, end]"}},
      {"ThreeOffsets",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
       {"'t'", "[begin, end]"}},
      {"OffsetsBackwards",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
       {"'t'", "[1, 0]", "backwards"}},
      {"OffsetsBeyondTheEnd",
       file_of(R"({"t":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}})", 2),
       {"'t'", "[0, 3]", "2 bytes", "cut short"}},
      {"NegativeOffset",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[-1,0]}})", 1),
       {"'t'", "data_offsets", "-1"}},
      {"OffsetsTooFewForTheShape",
       file_of(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
       {"'t'", "needs 8 bytes", "give 4"}},
      {"OffsetsTooManyForTheShape",
       file_of(R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,12]}})", 12),
       {"'t'", "needs 8 bytes", "give 12"}},
      {"HoleAtTheStart",
       file_of(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2),
       {"bytes 0 to 1", "before 't'"}},
      {"HoleInTheMiddle",
       file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
               R"("b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
               3),
       {"bytes 1 to 2", "before 'b'"}},
      {"BytesLeftAtTheEnd", file_of(good, 9), {"bytes 8 to 9 at the end"}},
      {"BytesWithoutTensors", file_of("{}", 1), {"bytes 0 to 1 at the end"}},
      {"Overlap",
       file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
               R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
               3),
       {"'b'", "[1, 3]", "overlaps", "ends at 2"}},
      {"SameBytesTwice",
       file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
               R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
               2),
       {"overlaps"}},
      {"EmptyTensorInTheMiddleOfAnother",
       file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
               R"("b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})",
               2),
       {"'b'", "overlaps"}},
  };
}

class SafetensorsMalformed : public ::testing::TestWithParam<Malformed> {};

TEST_P(SafetensorsMalformed, IsRefusedInWords) {
  const Malformed& malformed = GetParam();
  try {
    parse_safetensors(malformed.bytes, "weights.safetensors");
    FAIL() << "accepted";
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), ::testing::StartsWith("weights.safetensors: "));
    EXPECT_LT(std::string(error.what()).size(), 1000U) << "a message nobody reads";
    for (const std::string& word : malformed.words)
      EXPECT_THAT(error.what(), ::testing::HasSubstr(word));
  }
}

INSTANTIATE_TEST_SUITE_P(Rules, SafetensorsMalformed, ::testing::ValuesIn(malformed_files()),
                         [](const auto& test) { return test.param.name; });

TEST(SafetensorsFile, AcceptsWhatTheRulesAllow) {
  EXPECT_TRUE(parse_safetensors(file_of("{}", 0)).tensors.empty());
  EXPECT_TRUE(parse_safetensors(file_of("{}      ", 0)).tensors.empty());
  EXPECT_TRUE(parse_safetensors(file_of(R"({"__metadata__":{}})", 0)).metadata.empty());
  // White space within the JSON, any order of keys and of tensors, empty tensors between others.
  const SafeTensors read = parse_safetensors(
      file_of("{\n \"z\" : {\"shape\":[ ],\"data_offsets\":[1,2],\"dtype\":\"U8\"},"
              "\t\"e\":{\"data_offsets\":[1,1],\"shape\":[3,0],\"dtype\":\"F64\"},"
              "\"\\u00e4\":{\"dtype\":\"I8\",\"shape\":[1,1],\"data_offsets\":[0,1]}}",
              2));
  ASSERT_EQ(read.tensors.size(), 3U);
  EXPECT_EQ(read.tensors[0].first, "z");
  EXPECT_EQ(read.at("e").shape(), Shape({3, 0}));
  EXPECT_NE(read.find("ä"), nullptr);
}

TEST(SafetensorsFile, RefusesEveryTruncation) {
  const test::TempDir folder;
  const Bytes whole =
      serialize_safetensors({{"a", ones({3})}, {"b", ones({2, 2, 2})}}, {{"k", "v"}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_THROW(parse_safetensors(cut), FormatError) << size;
    if (size % 16 != 0) continue;
    write_file(folder / "cut", cut);
    EXPECT_ERROR(load_safetensors(folder / "cut"), FormatError, folder / "cut");
  }
}

TEST(SafetensorsFile, SurvivesRandomDamage) {
  // Any bytes give tensors or a FormatError, nothing else.
  const Bytes whole =
      serialize_safetensors({{"a", ones({3})}, {"b", ones({2, 2, 2})}}, {{"k", "v"}});
  Generator generator(7);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    Bytes damaged = whole;
    for (uint64_t change = generator.below(4) + 1; change > 0; --change)
      damaged[generator.below(damaged.size())] = static_cast<uint8_t>(generator.below(256));
    try {
      static_cast<void>(parse_safetensors(damaged));
    } catch (const FormatError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 10'000);
  EXPECT_LT(refused, 20'000) << "damage to elements alone is no error";
}

}  // namespace
}  // namespace convkit::io
