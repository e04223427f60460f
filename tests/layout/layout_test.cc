// Holds the tree to the architecture: which folder may include which, how long a file may grow,
// what a public header may pull in. The arrows stand in cmake/ConvkitModules.cmake (USES), which
// writes them, closed transitively, into include-rules.txt of the build directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Rules = std::map<std::string, std::set<std::string>>;

constexpr int kMaxLines = 800;

const fs::path& root() {
  static const fs::path path = CONVKIT_SOURCE_DIR;
  return path;
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

bool is_source(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".h" || extension == ".cc";
}

// Every regular file below `folder` (relative to the root), build products left out.
std::vector<fs::path> files_below(const std::string& folder) {
  static const std::set<std::string> skipped = {".git", "build", "runs", ".cache", "__pycache__"};
  std::vector<fs::path> files;
  if (!fs::exists(root() / folder)) return files;
  for (auto it = fs::recursive_directory_iterator(root() / folder);
       it != fs::recursive_directory_iterator(); ++it) {
    if (it->is_directory() && skipped.contains(it->path().filename().string())) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      files.push_back(fs::relative(it->path(), root()));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

// A line "ops: autograd tensor base kernels" for each folder.
Rules parse_rules(const std::vector<std::string>& lines) {
  Rules rules;
  for (const auto& line : lines) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    auto& allowed = rules[line.substr(0, colon)];
    std::istringstream words(line.substr(colon + 1));
    for (std::string word; words >> word;) allowed.insert(word);
  }
  return rules;
}

const Rules& rules() {
  static const Rules parsed =
      parse_rules(lines_of(fs::path(CONVKIT_BINARY_DIR) / "include-rules.txt"));
  return parsed;
}

// The module a path below convkit/ belongs to: "io/media" for io/media/png.h, "" for
// convkit/convkit.h.
std::string module_of(const std::string& path_below_convkit, const Rules& known) {
  std::string folder = fs::path(path_below_convkit).parent_path().generic_string();
  while (!folder.empty() && !known.contains(folder)) {
    folder = fs::path(folder).parent_path().generic_string();
  }
  return folder;
}

// What the line includes: `convkit/ops/conv.h` or `<vector>` (with its brackets).
std::optional<std::string> included(const std::string& line) {
  static const std::regex pattern(R"(^\s*#\s*include\s*("([^"]+)\"|<[^>]+>))");
  std::smatch match;
  if (!std::regex_search(line, match, pattern)) return std::nullopt;
  return match[2].matched ? match[2].str() : match[1].str();
}

// Why a file of convkit/ (path relative to the root) must not contain this line; "" when it may.
std::string include_fault(const std::string& file, const std::string& line, const Rules& known) {
  constexpr std::string_view kPrefix = "convkit/";
  const auto target = included(line);
  if (!target || !file.starts_with(kPrefix)) return "";
  const std::string from = module_of(file.substr(kPrefix.size()), known);
  if (from.empty()) return "";  // the umbrella header
  if (target->starts_with('<')) {
    // C's own, for the header that C reads.
    const bool for_c = *target == "<stddef.h>" || *target == "<stdint.h>";
    const bool standard = for_c || target->find_first_of("./") == std::string::npos;
    const bool is_public = file.ends_with(".h") && !file.ends_with("-inl.h");
    if (!standard && is_public) return "a public header includes " + *target;
    if (target->starts_with("<convkit/")) return "write \"" + target->substr(1) + " with quotes";
    if (target->starts_with("<hwy/") && from != "kernels")
      return "only kernels/ may include Highway";
    return "";
  }
  if (target->starts_with("hwy/"))
    return from == "kernels" ? "" : "only kernels/ may include Highway";
  if (!target->starts_with(kPrefix)) return "\"" + *target + "\" is not a path from the root";
  const std::string to = module_of(target->substr(kPrefix.size()), known);
  if (to == from || (known.contains(from) && known.at(from).contains(to))) return "";
  return from + " must not include " + (to.empty() ? *target : to);
}

// The public declarations of a header (a line CONVKIT_API begins, or a class it marks; namespace
// `detail` apart) in whose paragraph nobody says what they are. Paragraphs end at empty lines.
std::vector<std::string> undocumented(const std::vector<std::string>& lines) {
  static const std::regex marked("^((class|struct|enum class) )?CONVKIT_API ");
  std::vector<std::string> found;
  bool in_detail = false;
  bool documented = false;
  std::string declaration;
  const auto end_paragraph = [&] {
    if (!declaration.empty() && !documented) found.push_back(declaration);
    documented = false;
    declaration.clear();
  };
  for (const auto& line : lines) {
    if (line.empty()) {
      end_paragraph();
    } else if (line.starts_with("namespace detail")) {
      in_detail = true;
    } else if (line.starts_with("}  // namespace detail")) {
      in_detail = false;
    } else if (line.find("//") != std::string::npos) {
      documented = true;
    } else if (!in_detail && declaration.empty() && std::regex_search(line, marked)) {
      declaration = line;
    }
  }
  end_paragraph();
  return found;
}

TEST(Layout, RulesReadAsWritten) {
  EXPECT_EQ(parse_rules({"base:", "ops: autograd base"}),
            (Rules{{"base", {}}, {"ops", {"autograd", "base"}}}));
  EXPECT_TRUE(rules().contains("kernels"));
  EXPECT_FALSE(rules().at("kernels").contains("tensor"));
  EXPECT_TRUE(rules().at("nn").contains("tensor"));
}

TEST(Layout, CheckerFindsEveryKindOfFault) {
  const Rules known = {{"base", {}},
                       {"tensor", {"base"}},
                       {"io", {"tensor", "base"}},
                       {"io/media", {"io", "tensor", "base"}},
                       {"kernels", {"base"}}};
  using testing::HasSubstr;
  EXPECT_EQ(include_fault("convkit/io/npy.cc", "#include \"convkit/base/error.h\"", known), "");
  EXPECT_EQ(include_fault("convkit/io/npy.h", "#include <vector>", known), "");
  EXPECT_EQ(include_fault("convkit/convkit.h", "#include \"convkit/io/npy.h\"", known), "");
  EXPECT_EQ(include_fault("convkit/kernels/a-inl.h", "#include <hwy/highway.h>", known), "");
  EXPECT_THAT(include_fault("convkit/base/a.cc", "#include \"convkit/io/npy.h\"", known),
              HasSubstr("base must not include io"));
  EXPECT_THAT(include_fault("convkit/kernels/a.cc", "  # include \"convkit/tensor/t.h\"", known),
              HasSubstr("kernels must not include tensor"));
  EXPECT_THAT(include_fault("convkit/io/npy.cc", "#include \"convkit/io/media/png.h\"", known),
              HasSubstr("io must not include io/media"));
  EXPECT_THAT(include_fault("convkit/io/npy.h", "#include <nlohmann/json.hpp>", known),
              HasSubstr("a public header includes <nlohmann/json.hpp>"));
  EXPECT_THAT(include_fault("convkit/io/npy.cc", "#include <hwy/highway.h>", known),
              HasSubstr("only kernels/"));
  EXPECT_THAT(include_fault("convkit/io/npy.cc", "#include \"npy.h\"", known),
              HasSubstr("not a path from the root"));
  EXPECT_THAT(include_fault("convkit/io/npy.cc", "#include \"convkit/convkit.h\"", known),
              HasSubstr("io must not include convkit/convkit.h"));
}

TEST(Layout, FoldersIncludeOnlyWhatStandsBelowThem) {
  for (const auto& file : files_below("convkit")) {
    if (!is_source(file)) continue;
    int number = 0;
    for (const auto& line : lines_of(root() / file)) {
      ++number;
      const auto fault = include_fault(file.generic_string(), line, rules());
      EXPECT_EQ(fault, "") << file.generic_string() << ":" << number;
    }
  }
}

TEST(Layout, EverySourceStandsInAKnownFolder) {
  for (const auto& file : files_below("convkit")) {
    if (file.parent_path() == "convkit") {
      EXPECT_EQ(file.extension(), ".h")
          << file << ": only the umbrella header stands outside the folders";
      continue;
    }
    const auto below = file.lexically_relative("convkit").generic_string();
    EXPECT_NE(module_of(below, rules()), "")
        << file << " is in no module of cmake/ConvkitModules.cmake";
  }
}

TEST(Layout, NoFileIsLongerThan800Lines) {
  for (const char* folder : {"convkit", "cli", "tests", "tools", "bench", "examples", "cmake"}) {
    for (const auto& file : files_below(folder)) {
      const auto extension = file.extension();
      if (!is_source(file) && extension != ".py" && extension != ".cmake" && !extension.empty())
        continue;
      EXPECT_LE(lines_of(root() / file).size(), static_cast<size_t>(kMaxLines)) << file;
    }
  }
}

TEST(Layout, EveryHeaderIsReadOnce) {
  for (const char* folder : {"convkit", "cli", "tests", "bench", "examples"}) {
    for (const auto& file : files_below(folder)) {
      if (file.extension() != ".h") continue;
      const auto lines = lines_of(root() / file);
      const bool once = std::find(lines.begin(), lines.end(), "#pragma once") != lines.end();
      // A Highway -inl.h is read once per SIMD target and guards itself with HWY_TARGET_TOGGLE.
      const bool per_target = std::any_of(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("HWY_TARGET_TOGGLE") != std::string::npos;
      });
      EXPECT_TRUE(once || per_target) << file << " lacks #pragma once";
    }
  }
}

TEST(Layout, UndocumentedDeclarationsAreFound) {
  using testing::ElementsAre;
  EXPECT_THAT(undocumented({"/// Twice x.", "CONVKIT_API int twice(int x);"}), ElementsAre());
  EXPECT_THAT(undocumented({"/// Twice x.", "", "CONVKIT_API int twice(int x);"}),
              ElementsAre("CONVKIT_API int twice(int x);"));
  EXPECT_THAT(undocumented({"struct CONVKIT_API Plain {", "};"}),
              ElementsAre("struct CONVKIT_API Plain {"));
  EXPECT_THAT(undocumented({"namespace detail {", "CONVKIT_API int twice(int x);",
                            "}  // namespace detail"}),
              ElementsAre());
}

TEST(Layout, EveryPublicDeclarationIsDocumented) {
  for (const auto& file : files_below("convkit")) {
    if (file.extension() != ".h") continue;
    for (const auto& line : undocumented(lines_of(root() / file))) {
      ADD_FAILURE() << file.generic_string() << ": no comment says what this is: " << line;
    }
  }
}

// `Suite.Name` of the tests in a text of Markdown.
std::vector<std::string> tests_named_in(const std::vector<std::string>& lines) {
  static const std::regex cell(R"(\| `([A-Za-z0-9]+\.[A-Za-z0-9]+)` \|$)");
  std::vector<std::string> names;
  std::smatch match;
  for (const auto& line : lines)
    if (std::regex_search(line, match, cell)) names.push_back(match[1]);
  return names;
}

// `Suite.Name` of every test that is written below tests/.
std::set<std::string> written_tests() {
  static const std::regex head(R"(^TEST(_[FP])?\((\w+), (\w+)\))");
  std::set<std::string> names;
  std::smatch match;
  for (const auto& file : files_below("tests")) {
    if (file.extension() != ".cc") continue;
    for (const auto& line : lines_of(root() / file))
      if (std::regex_search(line, match, head)) names.insert(match[2].str() + "." + match[3].str());
  }
  return names;
}

TEST(Layout, EveryWrongUseInTheDocumentsIsTested) {
  constexpr size_t kLeast = 60;
  const auto named = tests_named_in(lines_of(root() / "docs/errors.md"));
  const auto written = written_tests();
  EXPECT_GE(named.size(), kLeast);
  for (const auto& name : named)
    EXPECT_TRUE(written.contains(name)) << "docs/errors.md names " << name << ", which is no test";
}

TEST(Layout, NoFileNamesAPathOfOneMachine) {
  // Split, so that this file does not hold what it looks for.
  const std::regex personal(std::string("(^|[^A-Za-z0-9_.$}])/(wor") + "k|roo" + "t|hom" +
                            "e|User" + "s)/");
  static const std::set<std::string> binary = {".png", ".jpg",  ".jpeg", ".gif", ".gz",
                                               ".npy", ".onnx", ".wav",  ".nii", ".safetensors"};
  for (const auto& file : files_below(".")) {
    if (binary.contains(file.extension().string())) continue;
    int number = 0;
    for (const auto& line : lines_of(root() / file)) {
      ++number;
      if (line.size() > 10000) continue;  // data, not text
      EXPECT_FALSE(std::regex_search(line, personal)) << file << ":" << number << ": " << line;
    }
  }
}

}  // namespace
