# What has to be installed, said with the name of its package where it is missing.
include_guard()

macro(hm_missing what package)
    message(FATAL_ERROR "${what} is missing: run integration/setup, which installs all that is missing, or install what "
                        "Debian and Ubuntu call ${package}")
endmacro()

# hm_need_module(PREFIX MODULE PACKAGE): pkg_check_modules, with the target PkgConfig::PREFIX.
macro(hm_need_module prefix module package)
    find_package(PkgConfig QUIET)
    if(NOT PKG_CONFIG_FOUND)
        hm_missing(pkg-config pkg-config)
    endif()
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
    if(NOT ${prefix}_FOUND)
        hm_missing(${module} ${package})
    endif()
endmacro()

# hm_need_header(VARIABLE HEADER PACKAGE): find_path.
macro(hm_need_header variable header package)
    find_path(${variable} ${header})
    if(NOT ${variable})
        hm_missing(${header} ${package})
    endif()
endmacro()
