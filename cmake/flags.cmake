# flags.cmake - the flags of the compiler and the linker, as interface targets.
#
#   tributary_flags          sanitizers, hardening, file names without the folder of the tree
#   tributary_tree           include folders, _GNU_SOURCE; carries tributary_flags
#   tributary_warnings       the warnings of a room or a program
#   tributary_test_warnings  those of a test: functions of Criterion have no prototypes
#
# A target has the flags of the targets that it links; no flag is set for the whole tree. room(),
# program() and suite() of rooms.cmake link these targets. The options TRIBUTARY_WERROR,
# TRIBUTARY_SANITIZE and TRIBUTARY_HARDEN choose the flags.
include(CheckCCompilerFlag)

add_library(tributary_flags INTERFACE)
target_compile_options(tributary_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

if(TRIBUTARY_SANITIZE)
  target_compile_options(tributary_flags INTERFACE
    -fsanitize=${TRIBUTARY_SANITIZE}
    -fno-omit-frame-pointer
    -g)
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
