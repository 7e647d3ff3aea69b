# The benchmark's own tests: its parts with cmocka, whole runs over the stand-in NCCL.
set(MOE_PERF_PARTS options.c parse.c say.c trace_file.c routing.c layout.c volume.c payload.c wire.c report.c)
foreach(part trace_file routing layout payload)
    hm_cmocka_test(moe_perf ${part} SOURCES test/test_${part}.c ${MOE_PERF_PARTS} LIBRARIES hm_planner m)
    target_compile_definitions(moe_perf_test_${part} PRIVATE _GNU_SOURCE)
endforeach()

add_library(moe_perf_wrong_send SHARED test/wrong_send.c)
target_compile_definitions(moe_perf_wrong_send PRIVATE _GNU_SOURCE)
target_include_directories(moe_perf_wrong_send PRIVATE ${CMAKE_SOURCE_DIR}/shim)
target_link_libraries(moe_perf_wrong_send PRIVATE ${CMAKE_DL_LIBS})

# moe_perf_run(NAME RANKS EXPECTED OPTION...): a whole run over the stand-in, and the exit status it must have.
function(moe_perf_run name ranks expected)
    hm_room_test(moe_perf ${name} ${CMAKE_CURRENT_SOURCE_DIR}/test/run_ranks.sh ${ranks} ${expected} 900
        $<TARGET_FILE:moe_perf> --iters 4 --warmup 1 --tokens 64 --hidden 72 --experts 16 --topk 4 --timeout 600
        --direction both ${ARGN})
    set_tests_properties(moe_perf.${name} PROPERTIES
        ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:hostnccl>")
endfunction()
moe_perf_run(megatron 4 0 --routing zipf:1 --layers 3)
moe_perf_run(deepspeed 4 0 --pattern deepspeed --dtype fp32)
moe_perf_run(deepspeed_drops 4 0 --pattern deepspeed --capacity-factor 0.5)
moe_perf_run(alltoall 4 0 --pattern alltoall --dtype fp16)
moe_perf_run(odd_bytes 4 0 --dtype fp8 --hidden 71 --routing group:8:2)
moe_perf_run(one_rank_gets_all 4 0 --routing one:2)
moe_perf_run(ranks_without_tokens 4 0 --tokens-of 1:0 --tokens-of 3:0)
moe_perf_run(nobody_has_tokens 2 0 --tokens 0)
moe_perf_run(one_rank_alone 1 0)
moe_perf_run(all_directions 4 0 --guided --direction all --layers 2)
moe_perf_run(sums_of_padded_rows 4 0 --guided --direction all --pattern deepspeed --dtype fp16)
moe_perf_run(sums_of_some_ranks 4 0 --guided --direction all --dtype fp32 --tokens-of 1:0)
moe_perf_run(sums_need_numbers 2 2 --guided --dtype fp8)
moe_perf_run(bad_option 2 2 --routing zipf)
moe_perf_run(wrong_bytes_are_found 4 1 --routing zipf:1)
moe_perf_run(wrong_sums_are_found 4 1 --routing zipf:1 --guided --direction combine)
foreach(name bytes sums)
    set_property(TEST moe_perf.wrong_${name}_are_found APPEND PROPERTY
        ENVIRONMENT "LD_PRELOAD=$<TARGET_FILE:moe_perf_wrong_send>" ASAN_OPTIONS=verify_asan_link_order=0)
endforeach()

hm_room_test(moe_perf pauses_between_calls ${CMAKE_CURRENT_SOURCE_DIR}/test/pauses.sh $<TARGET_FILE:moe_perf>)
set_tests_properties(moe_perf.pauses_between_calls PROPERTIES
    ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:hostnccl>")

# Counts bytes, races nothing; the thread sanitizer cannot place its memory in a fresh namespace everywhere.
if(NOT HM_SANITIZE MATCHES thread)
    hm_room_test(moe_perf wire_counts ${CMAKE_CURRENT_SOURCE_DIR}/test/wire_counts.sh $<TARGET_FILE:moe_perf>
        ${CMAKE_CURRENT_SOURCE_DIR}/../cluster/netns.sh)
    set_tests_properties(moe_perf.wire_counts PROPERTIES
        ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:hostnccl>")
endif()

set(runtime)
if(HM_SANITIZE MATCHES address)
    execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=libasan.so OUTPUT_VARIABLE runtime
                    OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
hm_room_test(moe_perf guided bash ${CMAKE_CURRENT_SOURCE_DIR}/test/guided.sh $<TARGET_FILE:moe_perf> $<TARGET_FILE:hiermoe>
    ${runtime})
set_tests_properties(moe_perf.guided PROPERTIES ENVIRONMENT "LD_LIBRARY_PATH=$<TARGET_FILE_DIR:hostnccl>")
