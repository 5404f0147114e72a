# install.cmake - the components of `cmake --install`: SERVER, TOOL, CLIENT. A component is
# installed whole or not at all.
#
# install_needs(COMPONENT file ...)
#   Names files that the build makes and the component installs. Generator expressions are allowed.
# write_install_needs()
#   Writes the list of these files, which install_check.cmake reads. The top folder calls it last.
set(TRIBUTARY_COMPONENTS SERVER TOOL CLIENT)

function(install_needs component)
  if(NOT component IN_LIST TRIBUTARY_COMPONENTS)
    message(FATAL_ERROR "install_needs: ${component} is none of: ${TRIBUTARY_COMPONENTS}")
  endif()
  set_property(GLOBAL APPEND PROPERTY INSTALL_NEEDS_${component} ${ARGN})
endfunction()

function(write_install_needs)
  set(text "")
  foreach(component IN LISTS TRIBUTARY_COMPONENTS)
    get_property(files GLOBAL PROPERTY INSTALL_NEEDS_${component})
    string(APPEND text "set(needs_${component} \"${files}\")\n")
  endforeach()
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/install_needs.cmake CONTENT "${text}")
endfunction()

# Install rules run in the order of their calls. This is the first one.
install(CODE "set(TRIBUTARY_BUILD \"${CMAKE_BINARY_DIR}\")" ALL_COMPONENTS)
install(SCRIPT ${CMAKE_CURRENT_LIST_DIR}/install_check.cmake ALL_COMPONENTS)
