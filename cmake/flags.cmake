# The compiler's and linker's flags, as interface targets. Nothing is set for the whole tree: a target has the flags that it links.
#
#   tributary_flags          sanitizers, hardening, and paths that do not depend on where the tree is
#   tributary_tree           what code of this tree sees: its include folders and _GNU_SOURCE; carries tributary_flags
#   tributary_warnings       the warnings of a room or a program
#   tributary_test_warnings  the same without -Wmissing-prototypes: Criterion's Test() defines functions
#
# room(), program() and suite() of rooms.cmake link them. Options: TRIBUTARY_WERROR, TRIBUTARY_SANITIZE, TRIBUTARY_HARDEN.
include(CheckCCompilerFlag)

add_library(tributary_flags INTERFACE)
target_compile_options(tributary_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

if(TRIBUTARY_SANITIZE)
  target_compile_options(tributary_flags INTERFACE -fsanitize=${TRIBUTARY_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(tributary_flags INTERFACE -fsanitize=${TRIBUTARY_SANITIZE})
  if(TRIBUTARY_SANITIZE MATCHES "undefined")
    target_compile_options(tributary_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()

if(TRIBUTARY_HARDEN)
  target_compile_options(tributary_flags INTERFACE
    -U_FORTIFY_SOURCE
    -D_FORTIFY_SOURCE=3
    -fstack-protector-strong
    -fstack-clash-protection
    -fcf-protection=full
    -fno-delete-null-pointer-checks
    -fno-strict-overflow)
  # clang before 16 refuses this flag without a second one.
  check_c_compiler_flag(-ftrivial-auto-var-init=zero HAVE_AUTO_VAR_INIT)
  if(HAVE_AUTO_VAR_INIT)
    target_compile_options(tributary_flags INTERFACE -ftrivial-auto-var-init=zero)
  endif()
  target_link_options(tributary_flags INTERFACE
    $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>
    -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code,--as-needed)
endif()

add_library(tributary_tree INTERFACE)
target_compile_definitions(tributary_tree INTERFACE _GNU_SOURCE)
target_include_directories(tributary_tree INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
target_link_libraries(tributary_tree INTERFACE tributary_flags)

set(warnings
  -Wall
  -Wextra
  -Wshadow
  -Wconversion
  -Wstrict-prototypes
  -Wvla
  -Wformat=2
  $<$<BOOL:${TRIBUTARY_WERROR}>:-Werror>)
add_library(tributary_warnings INTERFACE)
target_compile_options(tributary_warnings INTERFACE ${warnings} -Wmissing-prototypes)
add_library(tributary_test_warnings INTERFACE)
target_compile_options(tributary_test_warnings INTERFACE ${warnings})
