# What `cmake --install` puts in place: library and headers, a CMake package, a pkg-config file.
include(CMakePackageConfigHelpers)

# cairn_link_flags(VARIABLE paths…): what a compiler takes to link these libraries, as FindXXX
# modules name them: files, -l flags or bare names.
function(cairn_link_flags variable)
  set(flags "")
  foreach(library IN LISTS ARGN)
    if(NOT IS_ABSOLUTE "${library}")
      if(NOT library MATCHES "^-")
        string(PREPEND library "-l")
      endif()
      list(APPEND flags ${library})
      continue()
    endif()
    get_filename_component(folder ${library} DIRECTORY)
    get_filename_component(name ${library} NAME_WE)
    string(REGEX REPLACE "^lib" "-l" flag ${name})
    if(NOT folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
      list(APPEND flags -L${folder})
    endif()
    list(APPEND flags ${flag})
  endforeach()
  list(REMOVE_DUPLICATES flags)
  list(JOIN flags " " flags)
  set(${variable} "${flags}" PARENT_SCOPE)
endfunction()

# The file finds its prefix from where it lies, so that what is installed can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(pc_prefix ${CMAKE_INSTALL_PREFIX})
  set(pc_libdir ${CMAKE_INSTALL_LIBDIR})
else()
  file(RELATIVE_PATH up /${pkgconfig_dir} /)
  string(REGEX REPLACE "/$" "" up "${up}")
  set(pc_prefix "\${pcfiledir}/${up}")
  set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
list(TRANSFORM MPI_CXX_INCLUDE_DIRS PREPEND -I OUTPUT_VARIABLE pc_mpi_includes)
list(JOIN pc_mpi_includes " " pc_mpi_includes)
cairn_link_flags(pc_mpi_libs ${MPI_CXX_LIBRARIES})
cairn_link_flags(pc_private_libs
  ${HDF5_C_LIBRARIES} ${OPENSSL_CRYPTO_LIBRARY} ${ZLIB_LIBRARIES} ${cairn_codec_libraries}
  ${cairn_log_files} ${CMAKE_THREAD_LIBS_INIT})
configure_file(${CMAKE_CURRENT_LIST_DIR}/cairn.pc.in ${PROJECT_BINARY_DIR}/cairn.pc @ONLY)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cairn-config.cmake.in
  ${PROJECT_BINARY_DIR}/cairn-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cairn-config-version.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS cairn EXPORT cairn-targets FILE_SET HEADERS)
install(EXPORT cairn-targets NAMESPACE cairn:: DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/cairn-config.cmake
  ${PROJECT_BINARY_DIR}/cairn-config-version.cmake ${CMAKE_CURRENT_LIST_DIR}/dependencies.cmake
  DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/cairn.pc DESTINATION ${pkgconfig_dir})
