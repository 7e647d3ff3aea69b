# Unit tests of the front: settings, log, communicators, groups, callers. Included by the top-level build.
find_package(Threads REQUIRED)
find_path(HM_CMOCKA_DIR cmocka.h REQUIRED)
find_library(HM_CMOCKA cmocka REQUIRED)
foreach(name settings log comm group caller)
    add_executable(test_${name} ${CMAKE_CURRENT_LIST_DIR}/test_${name}.c ${CMAKE_CURRENT_LIST_DIR}/front_double.c)
    target_include_directories(test_${name} PRIVATE ${HM_CMOCKA_DIR})
    # -rdynamic: callers are known by exported names. Its ncclX must not be mistaken for NCCL: none is linked.
    set_target_properties(test_${name} PROPERTIES ENABLE_EXPORTS ON)
    target_link_libraries(test_${name} PRIVATE hiermoe_front Threads::Threads ${CMAKE_DL_LIBS} ${HM_CMOCKA})
    add_test(NAME unit_${name} COMMAND test_${name})
    set_tests_properties(unit_${name} PROPERTIES TIMEOUT 120)
endforeach()
