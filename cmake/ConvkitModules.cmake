# A folder of convkit/ is a module: an object library `convkit_<name>` from every .cc below the
# folder. What a module may include is said once, here, by USES; tests/layout holds the sources to it.

# How convkit's own sources are compiled. Never reaches a user's targets.
add_library(convkit_options INTERFACE)
target_compile_features(convkit_options INTERFACE cxx_std_20)
target_compile_options(convkit_options INTERFACE
  -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
  $<IF:$<CXX_COMPILER_ID:GNU>,-Wshadow=local,-Wshadow>
  # g++ 12 warns of overlaps that cannot be in std::string (its bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  -ffunction-sections -fdata-sections
  $<$<BOOL:${CONVKIT_WERROR}>:-Werror>)

set(convkit_modules "")         # every module, lower ones first
set(convkit_object_modules "")  # those that have sources

# convkit_own_target(<target>): convkit's warnings, hidden symbols and position-independent code.
function(convkit_own_target target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:convkit_options>)
  set_target_properties(${target} PROPERTIES
    POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    CXX_EXTENSIONS OFF)
endfunction()

# convkit_module(<name> [SMALL | COLD <file>...] [O2 <file>...] [FOLDER <path below convkit/>] [USES <module>...]
#                [LINKS <library>...])
# USES are the folders it may include (those below them come along), LINKS the outside libraries.
# SMALL: the module has no loops over elements that matter, and is compiled for size. COLD names the
# files, without ".cc", of which that is true in a module that has such loops in others. O2: those
# whose loops are written in vectors, so that -O3 finds nothing but more ways to copy them.
function(convkit_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "SMALL" "FOLDER" "COLD;O2;USES;LINKS")
  if(NOT arg_FOLDER)
    set(arg_FOLDER ${name})
  endif()
  set(folder "${PROJECT_SOURCE_DIR}/convkit/${arg_FOLDER}")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*.cc")
  if(name STREQUAL "io")
    list(FILTER sources EXCLUDE REGEX "/convkit/io/media/")
  endif()

  set(closure ${arg_USES})
  foreach(used IN LISTS arg_USES)
    list(APPEND closure ${convkit_closure_${used}})
  endforeach()
  list(REMOVE_DUPLICATES closure)

  set(target convkit_${name})
  if(sources)
    add_library(${target} OBJECT ${sources})
    convkit_own_target(${target})
    if(arg_SMALL)
      target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-Os>)
    endif()
    foreach(level IN ITEMS COLD O2)
      foreach(file IN LISTS arg_${level})
        if(NOT EXISTS "${folder}/${file}.cc")
          message(FATAL_ERROR "convkit_module(${name}): ${level} names ${file}.cc, which is not there")
        endif()
        set_source_files_properties("${folder}/${file}.cc" PROPERTIES
          COMPILE_OPTIONS $<$<CONFIG:Release>:$<IF:$<STREQUAL:${level},COLD>,-Os,-O2>>)
      endforeach()
    endforeach()
    set(scope PUBLIC)
    set(convkit_object_modules ${convkit_object_modules} ${name} PARENT_SCOPE)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} "${PROJECT_SOURCE_DIR}")
  list(TRANSFORM closure PREPEND convkit_ OUTPUT_VARIABLE used_targets)
  target_link_libraries(${target} ${scope} ${used_targets} ${arg_LINKS})
  set(convkit_closure_${name} ${closure} PARENT_SCOPE)
  set(convkit_folder_${name} ${arg_FOLDER} PARENT_SCOPE)
  set(convkit_modules ${convkit_modules} ${name} PARENT_SCOPE)
endfunction()

# convkit_link_modules(<target> <module>...): the modules' objects and those of all they use, so that
# hidden symbols are in reach. For the tool, the tests and the benchmarks.
function(convkit_link_modules target)
  set(wanted "")
  foreach(name IN LISTS ARGN)
    list(APPEND wanted ${name} ${convkit_closure_${name}})
  endforeach()
  list(REMOVE_DUPLICATES wanted)
  list(TRANSFORM wanted PREPEND convkit_)
  target_link_libraries(${target} PRIVATE ${wanted})
endfunction()

convkit_module(base LINKS Threads::Threads)
convkit_module(tensor USES base COLD deferred print shape tensor)
convkit_module(kernels USES base LINKS hwy::hwy
  COLD batch_norm batch_norm_pool conv conv_algorithm conv_cost conv_fft_plan conv_geometry
       conv_lattice conv_planner conv_program conv_tuning conv_winograd pool
       target winograd_axes
  O2 batch_norm_loops batch_norm_pool_loops elementwise pool_loops softmax winograd_transform)
convkit_module(autograd SMALL USES tensor)
convkit_module(ops USES autograd kernels
  COLD activation adaptive_pool arithmetic axes batch_norm conv cross_entropy linear loss pad pool
       pool_windows reduce shape softmax unary)
convkit_module(nn SMALL USES ops)
convkit_module(models SMALL USES nn)
convkit_module(optim SMALL USES autograd kernels)
convkit_module(io SMALL USES tensor LINKS nlohmann_json::nlohmann_json)
convkit_module(graph SMALL USES nn)
convkit_module(infer SMALL USES graph kernels)
set(convkit_core_modules base tensor kernels autograd ops nn models optim io graph infer)
if(CONVKIT_ONNX)
  convkit_module(onnx SMALL USES infer io LINKS protozero::protozero)
  set(convkit_onnx_modules onnx)
endif()
if(CONVKIT_MEDIA)
  convkit_module(media FOLDER io/media USES io LINKS spng::spng JPEG::JPEG ZLIB::ZLIB)
  convkit_module(data USES io media)
  convkit_module(train SMALL USES models optim data io LINKS protozero::protozero)
  convkit_module(viz USES infer io media)
  set(convkit_media_modules media data train viz)
endif()

# The rules for tests/layout: a line "folder: folders it may include" for every module.
set(convkit_rules "")
foreach(name IN LISTS convkit_modules)
  string(APPEND convkit_rules "${convkit_folder_${name}}:")
  foreach(used IN LISTS convkit_closure_${name})
    string(APPEND convkit_rules " ${convkit_folder_${used}}")
  endforeach()
  string(APPEND convkit_rules "\n")
endforeach()
file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/include-rules.txt" CONTENT "${convkit_rules}" @ONLY)
