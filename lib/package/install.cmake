# Installing: headers, the library, a CMake package and a pkg-config file. A static libpost needs
# the archives which it was built with; those of the build cache are copied beside it, to
# <libdir>/post/, so that nothing installed points into the cache.

set(post_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/post")
set(post_private_dir "${CMAKE_INSTALL_LIBDIR}/post")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/post" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.hpp")
install(TARGETS post
    ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")

set(post_config_kind SHARED)
set(post_config_file "$<TARGET_SONAME_FILE_NAME:post>")
set(post_config_archives "")
set(post_config_modules "")
set(post_config_libraries "")
set(post_pc_requires "")
set(post_pc_libs "")
if(NOT BUILD_SHARED_LIBS)
    set(post_config_kind STATIC)
    set(post_config_file "$<TARGET_FILE_NAME:post>")
    set(post_config_modules "${POST_REQUIRED}")
    set(post_config_libraries "${POST_SYSTEM_LIBRARIES}")
    list(JOIN POST_REQUIRED " " post_pc_requires)
    foreach(archive IN LISTS POST_BUNDLED)
        get_filename_component(file "${archive}" NAME)
        list(APPEND post_config_archives "${file}")
        string(APPEND post_pc_libs " \${libdir}/post/${file}")
        install(FILES "${archive}" DESTINATION "${post_private_dir}")
        if(CMAKE_OBJCOPY)
            # Code for link-time optimisation is good for one version of one compiler only.
            install(CODE "execute_process(COMMAND \"${CMAKE_OBJCOPY}\" -R .gnu.lto_* -R
                .gnu.debuglto_* -N __gnu_lto_v1 -N __gnu_lto_slim --wildcard
                \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${post_private_dir}/${file}\")")
        endif()
    endforeach()
    foreach(library IN LISTS POST_SYSTEM_LIBRARIES)
        string(APPEND post_pc_libs " -l${library}")
    endforeach()
    string(APPEND post_pc_libs " -pthread")
endif()

# The way up from the package's folder to the prefix.
file(RELATIVE_PATH post_up "/prefix/${post_package_dir}" "/prefix")
file(RELATIVE_PATH post_pc_up "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" post_up "${post_up}")
string(REGEX REPLACE "/$" "" post_pc_up "${post_pc_up}")
set(post_out "${PROJECT_BINARY_DIR}/package")
configure_file("${PROJECT_SOURCE_DIR}/lib/package/post-config.cmake.in"
    "${post_out}/post-config.cmake.gen" @ONLY)
file(GENERATE OUTPUT "${post_out}/post-config.cmake" INPUT "${post_out}/post-config.cmake.gen")
configure_file("${PROJECT_SOURCE_DIR}/lib/package/post.pc.in" "${post_out}/post.pc" @ONLY)

include(CMakePackageConfigHelpers)
write_basic_package_version_file("${post_out}/post-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${post_out}/post-config.cmake" "${post_out}/post-config-version.cmake"
    DESTINATION "${post_package_dir}")
install(FILES "${post_out}/post.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
