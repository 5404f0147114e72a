# rooms.cmake - the functions that make a target of a folder.
#
# room(NAME FLOOR n SOURCES ... [USES room ...] [LIBS target ...] [VENDOR header-prefix ...])
#   One folder, one purpose, one static library. A room uses rooms on lower floors only: CMake
#   refuses to configure an upward or a sideways link.
# program(NAME SOURCES ... USES ... LIBS ... [VENDOR header-prefix ...])
#   An executable. It stands on floor 100.
#
# Both add their folder to build/rooms.txt; with it `ctest -R floors` checks every #include. Both
# take their flags from flags.cmake. Sources stand one per line, in alphabetical order.

set_property(GLOBAL PROPERTY ROOMS "")

function(check_floor name floor)
  foreach(used IN LISTS ARGN)
    get_property(below GLOBAL PROPERTY ROOM_FLOOR_${used})
    if("${below}" STREQUAL "")
      message(FATAL_ERROR
        "room ${name}: uses ${used}, which is no room yet (rooms are added from the lowest floor up)")
    endif()
    if(NOT below LESS floor)
      message(FATAL_ERROR
        "room ${name} (floor ${floor}) may not use ${used} (floor ${below}): links point down")
    endif()
  endforeach()
endfunction()

# Adds the current folder to build/rooms.txt: its floor, then vendor headers. note_folder() adds
# another folder.
function(note_room)
  note_folder(${CMAKE_CURRENT_SOURCE_DIR} ${ARGN})
endfunction()

function(note_folder path)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${path})
  string(JOIN " " line ${folder} ${ARGN})
  set_property(GLOBAL APPEND_STRING PROPERTY ROOMS "${line}\n")
endfunction()

function(room name)
  cmake_parse_arguments(ROOM "" "FLOOR" "SOURCES;USES;LIBS;VENDOR" ${ARGN})
  if(ROOM_UNPARSED_ARGUMENTS OR NOT DEFINED ROOM_FLOOR OR NOT ROOM_SOURCES)
    message(FATAL_ERROR
      "room ${name}: FLOOR and SOURCES are needed; not understood: ${ROOM_UNPARSED_ARGUMENTS}")
  endif()
  check_floor(${name} ${ROOM_FLOOR} ${ROOM_USES})
  set_property(GLOBAL PROPERTY ROOM_FLOOR_${name} ${ROOM_FLOOR})
  note_room(${ROOM_FLOOR} ${ROOM_VENDOR})
  add_library(${name} STATIC ${ROOM_SOURCES})
  target_link_libraries(${name} PUBLIC tributary_tree ${ROOM_USES} ${ROOM_LIBS} PRIVATE tributary_warnings)
endfunction()

function(program name)
  cmake_parse_arguments(PROGRAM "" "" "SOURCES;USES;LIBS;VENDOR" ${ARGN})
  check_floor(${name} 100 ${PROGRAM_USES})
  note_room(100 ${PROGRAM_VENDOR})
  add_executable(${name} ${PROGRAM_SOURCES})
  target_link_libraries(${name} PRIVATE tributary_tree tributary_warnings ${PROGRAM_USES} ${PROGRAM_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# suite(NAME SOURCES ... USES ... LIBS ... [LABELS ...] [PLAIN] [TIMEOUT s])
#   One CTest test: a Criterion program, or with PLAIN a program that has a main() of its own. A
#   leak fails the test; Criterion alone would let it pass.
function(suite name)
  cmake_parse_arguments(SUITE "PLAIN" "TIMEOUT" "SOURCES;USES;LIBS;LABELS;ARGS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT SUITE_SOURCES)
    set(SUITE_SOURCES ${name}.c)
  endif()
  if(NOT SUITE_TIMEOUT)
    set(SUITE_TIMEOUT 120)
  endif()
  add_executable(${name} ${SUITE_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE tributary_tree tributary_test_warnings ${SUITE_USES} ${SUITE_LIBS})
  if(NOT SUITE_PLAIN)
    target_link_libraries(${name} PRIVATE PkgConfig::CRITERION)
  endif()
  add_test(NAME ${name} COMMAND ${name} ${SUITE_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${SUITE_TIMEOUT} LABELS "${SUITE_LABELS}"
    FAIL_REGULAR_EXPRESSION
      "LeakSanitizer: detected memory leaks;AddressSanitizer;runtime error:;WARNING: ThreadSanitizer")
endfunction()

# Writes build/rooms.txt: one room per line, "folder floor vendor-headers...".
function(write_rooms)
  get_property(rooms GLOBAL PROPERTY ROOMS)
  file(WRITE ${CMAKE_BINARY_DIR}/rooms.txt "${rooms}")
endfunction()
