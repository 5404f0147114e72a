# find_package(tributary [0.1] [COMPONENTS shared static])
#
#   tributary::tributary         the shared library
#   tributary::tributary_static  the static library; needs grpc and libprotobuf-c of pkg-config
include(${CMAKE_CURRENT_LIST_DIR}/tributary-shared.cmake)
set(tributary_shared_FOUND ON)

find_package(Threads QUIET)
find_package(PkgConfig QUIET)
if(Threads_FOUND AND PkgConfig_FOUND)
  pkg_check_modules(TRIBUTARY_GRPC QUIET IMPORTED_TARGET grpc)
  pkg_check_modules(TRIBUTARY_PROTOBUF_C QUIET IMPORTED_TARGET libprotobuf-c)
endif()
if(TARGET PkgConfig::TRIBUTARY_GRPC AND TARGET PkgConfig::TRIBUTARY_PROTOBUF_C)
  include(${CMAKE_CURRENT_LIST_DIR}/tributary-static.cmake)
  set(tributary_static_FOUND ON)
endif()

foreach(component IN LISTS tributary_FIND_COMPONENTS)
  if(tributary_FIND_REQUIRED_${component} AND NOT tributary_${component}_FOUND)
    set(tributary_FOUND OFF)
    set(tributary_NOT_FOUND_MESSAGE
      "component ${component} needs threads, and grpc and libprotobuf-c by pkg-config")
  endif()
endforeach()
