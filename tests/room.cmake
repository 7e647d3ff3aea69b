# How every test is named: ROOM.NAME, where ROOM is its folder under tests/ and its label. README.md lists the rooms.
include_guard()

# hm_room_test(ROOM NAME COMMAND...): a test that exits with 0, or with 77 where it does not apply.
function(hm_room_test room name)
    add_test(NAME ${room}.${name} COMMAND ${ARGN})
    # Settings files of this machine and its user have no say.
    set_tests_properties(${room}.${name} PROPERTIES LABELS ${room} SKIP_RETURN_CODE 77
                         ENVIRONMENT_MODIFICATION HIERMOE_CONF_FILE=set:none)
endfunction()

# hm_cmocka_test(ROOM NAME SOURCES file... [LIBRARIES target...]): a program of its own, ROOM_test_NAME.
function(hm_cmocka_test room name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LIBRARIES" ${ARGN})
    add_executable(${room}_test_${name} ${ARG_SOURCES})
    target_link_libraries(${room}_test_${name} PRIVATE ${ARG_LIBRARIES} PkgConfig::CMOCKA)
    hm_room_test(${room} ${name} ${room}_test_${name})
endfunction()

# hm_slow(ROOM.NAME...): large or long; left to builds without sanitizers, and not part of tests/run quick.
function(hm_slow)
    set_property(TEST ${ARGN} APPEND PROPERTY LABELS slow)
    hm_early(${ARGN})
endfunction()

# hm_early(ROOM.NAME...): takes long, so it starts first, lest it runs alone at the end.
function(hm_early)
    set_property(TEST ${ARGN} PROPERTY COST 100)
endfunction()

# hm_counts_memory(PROGRAM): holds what is allocated against the page of formulas, by unit/counted.c.
function(hm_counts_memory program)
    target_compile_definitions(${program} PRIVATE HM_MEMORY_PAGE="${PROJECT_SOURCE_DIR}/shim/MEMORY.md")
    target_link_options(${program} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=free)
endfunction()
