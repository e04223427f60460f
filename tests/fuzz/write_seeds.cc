// Writes the seeds of every reader: write_seeds FOLDER makes FOLDER/<reader>/seed-<n>.
#include <cstdio>
#include <exception>

#include "convkit/io/folder.h"
#include "tests/fuzz/readers.h"
#include "tests/fuzz/seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: write_seeds FOLDER\n");
    return 2;
  }
  try {
    for (const convkit::fuzz::Reader& reader : convkit::fuzz::readers()) {
      const std::string folder = convkit::io::join_path(argv[1], reader.name);
      convkit::io::create_folders(folder);
      int number = 0;
      for (const convkit::io::Bytes& bytes : convkit::fuzz::seeds_of(reader.name))
        convkit::io::write_file(folder + "/seed-" + std::to_string(number++), bytes);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_seeds: %s\n", error.what());
    return 1;
  }
  return 0;
}
