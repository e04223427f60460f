# Every library convkit stands on, found once. The core needs Highway and the JSON header; each
# message names the Debian package, and tools/setup installs them all.
include(CheckCXXSourceCompiles)
find_package(Threads REQUIRED)
find_package(hwy CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)

if(CONVKIT_MEDIA)
  find_package(ZLIB REQUIRED)
  find_package(JPEG REQUIRED)
  find_package(spng MODULE REQUIRED)
endif()
if(CONVKIT_MEDIA OR CONVKIT_ONNX)
  find_package(protozero MODULE REQUIRED)
endif()
if(CONVKIT_CLI)
  find_package(CLI11 CONFIG REQUIRED)
endif()
