#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/verbs.h"

/// The option --json of the verbs.
namespace convkit::cli {

/// Lets `verb` take --json, which leaves standard output to the one object.
void add_json_flag(CLI::App& verb, Session& session, const std::string& what = "One JSON object");

/// Writes the object. Bytes that are no UTF-8, which names of files may hold, become U+FFFD.
void write_json(const nlohmann::ordered_json& json, Console& console);

}  // namespace convkit::cli
