# Installs the build into a folder of its own, then lets a stranger's project find it, build against
# it and run, with every C++ compiler there is.
set(prefix "${BUILD}/Testing/prefix")
set(consumer "${CMAKE_CURRENT_LIST_DIR}/consumer")

function(step)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nfailed (${result}):\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE "${prefix}")
step(${CMAKE_COMMAND} --install "${BUILD}" --prefix "${prefix}")

file(GLOB_RECURSE private_headers "${prefix}/include/*-inl.h")
if(private_headers)
  message(FATAL_ERROR "implementation headers were installed: ${private_headers}")
endif()

set(compilers "${CXX}")
if(NOT CXX_FLAGS MATCHES "-fsanitize")  # a sanitised library wants the compiler that made it
  foreach(name g++ clang++)
    find_program(found_${name} ${name})
    if(found_${name})
      list(APPEND compilers "${found_${name}}")
    endif()
  endforeach()
  list(TRANSFORM compilers REPLACE ".*/c\\+\\+$" "${found_g++}")
  list(REMOVE_DUPLICATES compilers)
endif()

foreach(compiler IN LISTS compilers)
  get_filename_component(name "${compiler}" NAME)
  set(build "${BUILD}/Testing/consumer-${name}")
  step(${CMAKE_COMMAND} -S "${consumer}" -B "${build}" --fresh -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    "-DCMAKE_CXX_COMPILER=${compiler}" "-DCMAKE_CXX_FLAGS=${CXX_FLAGS}" "-DCMAKE_PREFIX_PATH=${prefix}")
  step(${CMAKE_COMMAND} --build "${build}")
  step("${build}/consumer")
  message(STATUS "consumer built with ${compiler} runs")
endforeach()
