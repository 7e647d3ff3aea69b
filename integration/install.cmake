# What users get: cmake --install, or cpack for an archive, a Debian and an RPM package. Nothing of the tests.
if(NOT DEFINED CMAKE_INSTALL_LIBDIR)
    set(CMAKE_INSTALL_LIBDIR lib) # hiermoe fit looks for the library in lib and lib64 beside bin
endif()
include(GNUInstallDirs)
install(TARGETS hiermoe EXPORT hiermoe LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS hiermoe_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
# integration/NAME/hiermoe-NAME, a verb of the command, with its folder.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/installed)
file(GLOB programs RELATIVE ${PROJECT_SOURCE_DIR}/integration CONFIGURE_DEPENDS integration/*/hiermoe-*)
foreach(program ${programs})
    get_filename_component(folder ${program} DIRECTORY)
    get_filename_component(name ${program} NAME)
    install(DIRECTORY integration/${folder} DESTINATION libexec/hiermoe USE_SOURCE_PERMISSIONS
            PATTERN __pycache__ EXCLUDE)
    file(CREATE_LINK ${program} ${CMAKE_BINARY_DIR}/installed/${name} SYMBOLIC)
    install(FILES ${CMAKE_BINARY_DIR}/installed/${name} DESTINATION libexec/hiermoe)
endforeach()
if(EXISTS ${PROJECT_SOURCE_DIR}/integration/adapters)
    install(DIRECTORY integration/adapters DESTINATION libexec/hiermoe PATTERN __pycache__ EXCLUDE)
endif()
install(FILES shim/hiermoe.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES README.md integration/JOBS.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES integration/packaging/hiermoe.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES integration/packaging/modulefile DESTINATION ${CMAKE_INSTALL_DATADIR}/modulefiles/hiermoe
        RENAME ${PROJECT_VERSION})
install(FILES integration/packaging/hiermoe.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
        RENAME hiermoe)

# For programs that use hiermoe.h: pkg-config, and find_package(hiermoe). Neither minds being moved.
include(CMakePackageConfigHelpers)
set(HM_CONFIGS ${CMAKE_INSTALL_LIBDIR}/cmake/hiermoe)
file(RELATIVE_PATH HM_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" HM_PC_TO_PREFIX "${HM_PC_TO_PREFIX}")
configure_file(integration/packaging/hiermoe.pc.in ${CMAKE_BINARY_DIR}/installed/hiermoe.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/installed/hiermoe.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_package_config_file(integration/packaging/hiermoeConfig.cmake.in
                              ${CMAKE_BINARY_DIR}/installed/hiermoeConfig.cmake INSTALL_DESTINATION ${HM_CONFIGS}
                              PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/installed/hiermoeConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/installed/hiermoeConfig.cmake
              ${CMAKE_BINARY_DIR}/installed/hiermoeConfigVersion.cmake DESTINATION ${HM_CONFIGS})
install(EXPORT hiermoe NAMESPACE hiermoe:: FILE hiermoeTargets.cmake DESTINATION ${HM_CONFIGS})

# Packages, which cpack puts into the build folder.
set(CPACK_GENERATOR TGZ DEB)
find_program(HM_RPMBUILD rpmbuild)
if(HM_RPMBUILD)
    list(APPEND CPACK_GENERATOR RPM)
endif()
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR})
set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_PACKAGE_LICENSE "Apache-2.0")
# Folders that other packages own, too.
set(CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/libexec /usr/lib/pkgconfig /usr/lib/cmake /usr/share/man
    /usr/share/man/man1 /usr/share/bash-completion /usr/share/bash-completion/completions)
set(CPACK_PACKAGE_NAME hiermoe)
set(CPACK_PACKAGE_VENDOR "the HierMoE project")
set(CPACK_PACKAGE_CONTACT "the HierMoE project <hiermoe@localhost>") # Debian packages must have one
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
find_program(HM_SHLIBDEPS dpkg-shlibdeps)
if(HM_SHLIBDEPS)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
