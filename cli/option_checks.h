#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

/// Options that several verbs share, and checks of what was typed, before it is converted: numbers
/// that do not fit, which CLI11 would cut down in silence, are told as well.
namespace convkit::cli {

struct Session;

/// A whole number between `least` and `most`.
CLI::Validator whole_number(int64_t least = INT64_MIN, int64_t most = INT64_MAX);
/// A number such as 0.1 or 1e-3.
CLI::Validator any_number();
/// A text of at least one character.
CLI::Validator not_empty();

/// Lets `verb` take --exact: Exactness::exact for the whole process.
void add_exact_flag(CLI::App& verb);
/// Lets `verb` take --autotune: algorithms chosen by measuring (train/tuning_file.h) while the job
/// runs.
void add_autotune_flag(CLI::App& verb, Session& session);

}  // namespace convkit::cli
