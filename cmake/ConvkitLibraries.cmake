# The libraries a user links: convkit::convkit (the core), convkit::onnx (ONNX files) and
# convkit::media (files of pictures, data sets, training). All are made of the modules' objects and
# export only what CONVKIT_API marks.

# convkit_library(<target> NAME <exported and file name> MODULES <module>... [LINKS <library>...])
function(convkit_library target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME;FILE" "MODULES;LINKS")
  set(kind STATIC)
  if(CONVKIT_SHARED)
    set(kind SHARED)
  endif()
  set(objects "")
  foreach(name IN LISTS arg_MODULES)
    if(name IN_LIST convkit_object_modules)
      list(APPEND objects $<TARGET_OBJECTS:convkit_${name}>)
    endif()
  endforeach()
  if(NOT objects)
    return()
  endif()
  add_library(${target} ${kind} ${objects})
  add_library(convkit::${arg_NAME} ALIAS ${target})
  target_compile_features(${target} PUBLIC cxx_std_20)
  # A host's own warnings are not for convkit's headers.
  set(system "")
  if(NOT PROJECT_IS_TOP_LEVEL)
    set(system SYSTEM)
  endif()
  target_include_directories(${target} ${system} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include>)
  target_link_libraries(${target} PRIVATE ${arg_LINKS})
  if(CONVKIT_SHARED)
    target_link_options(${target} PRIVATE -Wl,--gc-sections)
    if(NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
      target_link_options(${target} PRIVATE -Wl,--no-undefined)
    endif()
  endif()
  # build/<preset>/convkit is the tool, so the libraries live in lib/.
  set_target_properties(${target} PROPERTIES
    LINKER_LANGUAGE CXX
    EXPORT_NAME ${arg_NAME}
    OUTPUT_NAME ${arg_FILE}
    INSTALL_RPATH $ORIGIN
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib"
    ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
endfunction()

# Its target is no plain `convkit`: in the build folder that is the tool.
# The JSON library is headers only and leaves no trace in the binaries, so it is no link dependency.
convkit_library(convkit_lib NAME convkit FILE convkit MODULES ${convkit_core_modules}
  LINKS hwy::hwy Threads::Threads)
if(CONVKIT_ONNX)
  convkit_library(convkit_onnx_lib NAME onnx FILE convkit_onnx MODULES ${convkit_onnx_modules})
  if(TARGET convkit_onnx_lib)
    target_link_libraries(convkit_onnx_lib PUBLIC convkit_lib)
  endif()
endif()
if(CONVKIT_MEDIA)
  convkit_library(convkit_media_lib NAME media FILE convkit_media MODULES ${convkit_media_modules}
    LINKS spng::spng JPEG::JPEG ZLIB::ZLIB)
  if(TARGET convkit_media_lib)
    target_link_libraries(convkit_media_lib PUBLIC convkit_lib)
  endif()
endif()
