# What users get: cmake --install, or cpack for an archive and a Debian package. Nothing of the tests.
if(NOT DEFINED CMAKE_INSTALL_LIBDIR)
    set(CMAKE_INSTALL_LIBDIR lib) # hiermoe fit looks for the library in lib and lib64 beside bin
endif()
include(GNUInstallDirs)
install(TARGETS hiermoe LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
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
install(FILES shim/hiermoe.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR TGZ DEB)
set(CPACK_PACKAGE_NAME hiermoe)
set(CPACK_PACKAGE_VENDOR "the HierMoE project")
set(CPACK_PACKAGE_CONTACT "the HierMoE project <hiermoe@localhost>") # Debian packages must have one
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "hierarchical, deduplicating all-to-all for mixture-of-experts training")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
find_program(HM_SHLIBDEPS dpkg-shlibdeps)
if(HM_SHLIBDEPS)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
endif()
include(CPack)
