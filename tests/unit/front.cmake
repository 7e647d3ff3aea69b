# Unit tests of the front: settings, log, communicators, groups, callers, companion API. Included by the top-level build.
find_package(Threads REQUIRED)
find_path(HM_CMOCKA_DIR cmocka.h REQUIRED)
find_library(HM_CMOCKA cmocka REQUIRED)
foreach(name settings log stats comm group caller caller_hidden symbol torch api)
    add_executable(test_${name} ${CMAKE_CURRENT_LIST_DIR}/test_${name}.c ${CMAKE_CURRENT_LIST_DIR}/front_double.c)
    target_include_directories(test_${name} PRIVATE ${HM_CMOCKA_DIR})
    # -rdynamic: callers are known by exported names. Its ncclX must not be mistaken for NCCL: none is linked.
    set_target_properties(test_${name} PROPERTIES ENABLE_EXPORTS ON)
    target_link_libraries(test_${name} PRIVATE hiermoe_front Threads::Threads ${CMAKE_DL_LIBS} ${HM_CMOCKA})
endforeach()
foreach(name settings log stats comm group caller api)
    add_test(NAME unit_${name} COMMAND test_${name})
    set_tests_properties(unit_${name} PROPERTIES LABELS unit TIMEOUT 120)
endforeach()

# Names of hidden callers: from their file, and where it cannot be read.
foreach(case readable unreadable)
    add_test(NAME unit_caller_${case} COMMAND test_caller_hidden ${case})
    set_tests_properties(unit_caller_${case} PROPERTIES LABELS unit TIMEOUT 120)
endforeach()
target_link_options(test_caller_hidden PRIVATE -Wl,--wrap=open,--wrap=dladdr)
add_library(symbol_plugin MODULE ${CMAKE_CURRENT_LIST_DIR}/symbol_plugin.c)
set_target_properties(symbol_plugin PROPERTIES PREFIX "")
add_test(NAME unit_symbol COMMAND test_symbol $<TARGET_FILE:symbol_plugin>)
set_tests_properties(unit_symbol PROPERTIES LABELS unit TIMEOUT 120)

target_link_options(test_stats PRIVATE -Wl,--wrap=gethostname)

# Which PyTorch is believed. test_caller's functions are named like PyTorch's and lie in a tree like its own.
file(WRITE ${CMAKE_BINARY_DIR}/version.py "__version__ = '2.11.0+cu130'\n")
add_library(torch_plugin MODULE ${CMAKE_CURRENT_LIST_DIR}/torch_plugin.c)
set_target_properties(torch_plugin PROPERTIES PREFIX "")
add_test(NAME unit_torch COMMAND test_torch $<TARGET_FILE:torch_plugin>)
set_tests_properties(unit_torch PROPERTIES LABELS unit TIMEOUT 120)
foreach(name caller caller_hidden)
    target_sources(test_${name} PRIVATE ${CMAKE_CURRENT_LIST_DIR}/torch_plugin.c)
    set_property(TARGET test_${name} APPEND PROPERTY COMPILE_DEFINITIONS TORCH_NCCL="2.28")
endforeach()
