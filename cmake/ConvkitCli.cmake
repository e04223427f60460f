# The command-line tool: one file per verb in cli/. Everything but main.cc is an object library, so
# that tests/cli can call the verbs.
file(GLOB convkit_cli_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cli/*.cc")
# `convkit bench` measures the machine as the benchmarks do.
list(APPEND convkit_cli_sources "${PROJECT_SOURCE_DIR}/bench/fma_peak.cc")
set(convkit_cli_main "${PROJECT_SOURCE_DIR}/cli/main.cc")
list(REMOVE_ITEM convkit_cli_sources "${convkit_cli_main}")

if(convkit_cli_sources)
  add_library(convkit_verbs OBJECT ${convkit_cli_sources})
  convkit_own_target(convkit_verbs)
  target_link_libraries(convkit_verbs PUBLIC CLI11::CLI11)
  convkit_link_modules(convkit_verbs ${convkit_modules})
else()
  add_library(convkit_verbs INTERFACE)
  target_link_libraries(convkit_verbs INTERFACE CLI11::CLI11)
endif()

if(EXISTS "${convkit_cli_main}")
  add_executable(convkit_cli "${convkit_cli_main}")
  convkit_own_target(convkit_cli)
  target_link_libraries(convkit_cli PRIVATE convkit_verbs)
  convkit_link_modules(convkit_cli ${convkit_modules})
  target_link_options(convkit_cli PRIVATE -Wl,--gc-sections)
  set_target_properties(convkit_cli PROPERTIES
    OUTPUT_NAME convkit
    RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
endif()
