# The package a user's project finds: find_package(convkit CONFIG) gives convkit::convkit and, where
# built, convkit::onnx and convkit::media. Headers named *-inl.h are implementation and stay here.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(convkit_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/convkit")
set(convkit_installed "")
foreach(library convkit_lib convkit_onnx_lib convkit_media_lib)
  if(TARGET ${library})
    list(APPEND convkit_installed ${library})
  endif()
endforeach()

if(convkit_installed)
  install(TARGETS ${convkit_installed} EXPORT convkitTargets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT convkitTargets NAMESPACE convkit:: DESTINATION "${convkit_package_dir}")
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/convkit" DESTINATION include
  FILES_MATCHING PATTERN "*.h" PATTERN "*-inl.h" EXCLUDE)
if(TARGET convkit_cli)
  install(TARGETS convkit_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/convkitConfig.cmake.in" "${PROJECT_BINARY_DIR}/convkitConfig.cmake"
  INSTALL_DESTINATION "${convkit_package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/convkitConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/convkitConfig.cmake" "${PROJECT_BINARY_DIR}/convkitConfigVersion.cmake"
  "${PROJECT_SOURCE_DIR}/cmake/Findspng.cmake"
  DESTINATION "${convkit_package_dir}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
