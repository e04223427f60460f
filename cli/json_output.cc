#include "cli/json_output.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <ostream>

namespace convkit::cli {

void add_json_flag(CLI::App& verb, Session& session, const std::string& what) {
  verb.add_flag_callback(
      "--json", [&session] { session.console.reserve_out_for_json(); }, what);
}

void write_json(const nlohmann::ordered_json& json, Console& console) {
  console.out() << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                << std::endl;
}

}  // namespace convkit::cli
