# The CMake package: `find_package(Repo)` gives the compiler's libraries (RepoAll,
# RepoDriver and what they link), the runtime (repo_rt, repo_rt_static) and the C API
# (repo_compiler). Precompiled headers and the compiler cache are private to this build.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(REPO_LIBRARY_TARGETS GLOBAL PROPERTY REPO_LIBRARIES)
install(TARGETS ${REPO_LIBRARY_TARGETS} repo_rt repo_rt_static repo_compiler
  EXPORT RepoTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT RepoTargets DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Repo)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION include
  FILES_MATCHING PATTERN "*.h" PATTERN "*.td")
install(DIRECTORY "${PROJECT_BINARY_DIR}/include/" DESTINATION include
  FILES_MATCHING PATTERN "*.inc" PATTERN "CMakeFiles" EXCLUDE)

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/RepoConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/RepoConfig.cmake"
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Repo)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/RepoConfigVersion.cmake"
  VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/RepoConfig.cmake"
  "${PROJECT_BINARY_DIR}/RepoConfigVersion.cmake"
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Repo)
