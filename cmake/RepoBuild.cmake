# How this project declares its libraries and tools: one compiler cache, one
# precompiled header, and the MLIR and LLVM shared libraries of the installed
# packages (linking static MLIR beside libMLIR.so registers everything twice).

find_program(REPO_CCACHE ccache)
if(REPO_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER
      "${CMAKE_COMMAND};-E;env;CCACHE_BASEDIR=${PROJECT_SOURCE_DIR};${REPO_CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER
      "${CMAKE_COMMAND};-E;env;CCACHE_BASEDIR=${PROJECT_SOURCE_DIR};CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime;${REPO_CCACHE}")
endif()

# The headers nearly every MLIR file needs take 20 s to parse; they are parsed
# once. Clang needs -fno-pch-timestamp for the compiler cache to accept the result.
add_library(RepoPCH OBJECT "${PROJECT_SOURCE_DIR}/cmake/pch.cpp")
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(RepoPCH PUBLIC "SHELL:-Xclang -fno-pch-timestamp")
endif()
target_precompile_headers(RepoPCH PRIVATE "${PROJECT_SOURCE_DIR}/cmake/pch.h")

# repo_add_library(NAME source... [DEPENDS target...] [LINK library...])
# A static library of compiler code. DEPENDS names tablegen targets.
function(repo_add_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LINK" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_precompile_headers(${name} REUSE_FROM RepoPCH)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  target_include_directories(${name} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include>
    $<INSTALL_INTERFACE:include>)
  target_link_libraries(${name} PUBLIC ${ARG_LINK} MLIR LLVM)
  if(ARG_DEPENDS)
    add_dependencies(${name} ${ARG_DEPENDS})
  endif()
  set_property(GLOBAL APPEND PROPERTY REPO_LIBRARIES ${name})
endfunction()

# repo_add_tool(NAME source... [LINK library...])
function(repo_add_tool name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  # The precompiled header is for position-independent code; executables would get
  # -fPIE instead.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM RepoPCH)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${name} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
  target_link_libraries(${name} PRIVATE ${ARG_LINK} MLIR LLVM)
  install(TARGETS ${name} RUNTIME DESTINATION bin)
endfunction()
