# Finds protozero, a header-only protobuf reader and writer. Target: protozero::protozero
find_path(protozero_INCLUDE_DIR protozero/version.hpp)
mark_as_advanced(protozero_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(protozero
  REQUIRED_VARS protozero_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "On Debian: apt install libprotozero-dev (or run tools/setup)")

if(protozero_FOUND AND NOT TARGET protozero::protozero)
  add_library(protozero::protozero INTERFACE IMPORTED)
  set_target_properties(protozero::protozero PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${protozero_INCLUDE_DIR}")
endif()
