# install_check.cmake - `cmake --install` runs this before it installs the first file. It fails when
# a file of the component was not built.
include(${TRIBUTARY_BUILD}/install_needs.cmake)
set(absent "")
foreach(component SERVER TOOL CLIENT)
  if(NOT CMAKE_INSTALL_COMPONENT OR CMAKE_INSTALL_COMPONENT STREQUAL component)
    foreach(file IN LISTS needs_${component})
      if(NOT EXISTS ${file})
        string(APPEND absent "\n  ${file}")
      endif()
    endforeach()
  endif()
endforeach()
if(absent)
  message(FATAL_ERROR
    "Nothing was installed. First run: cmake --build ${TRIBUTARY_BUILD}\nNot built:${absent}")
endif()
