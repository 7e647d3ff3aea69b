# Adds the CUDA back end to hm_kernels, or a sentence that says why there is none. The kernels are compiled to a fat
# binary that the library carries as bytes; neither the CUDA runtime nor the driver is linked.
find_program(HM_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin $ENV{CUDA_PATH}/bin /usr/local/cuda/bin)
if(HM_NVCC)
    execute_process(COMMAND ${HM_NVCC} --version OUTPUT_VARIABLE release ERROR_QUIET RESULT_VARIABLE hm_nvcc_failed)
    get_filename_component(HM_CUDA_ROOT ${HM_NVCC} REALPATH)
    get_filename_component(HM_CUDA_ROOT ${HM_CUDA_ROOT} DIRECTORY)
    find_path(HM_CUDA_INCLUDE cuda.h HINTS ${HM_CUDA_ROOT}/../include /usr/local/cuda/include
              PATH_SUFFIXES ../targets/x86_64-linux/include)
endif()

if(NOT HM_CUDA OR NOT HM_NVCC OR hm_nvcc_failed OR NOT HM_CUDA_INCLUDE)
    if(HM_CUDA)
        message(WARNING "no nvcc that runs, or no cuda.h, was found: the library will leave all calls on GPU memory alone. Set CUDA_HOME, "
                        "or give -DHM_CUDA=OFF if that is meant.")
    else()
        message(STATUS "CUDA back end: none (HM_CUDA is off)")
    endif()
    target_sources(hm_kernels PRIVATE ${CMAKE_CURRENT_LIST_DIR}/cuda_none.c)
    set(HM_CUDA_BUILT none CACHE INTERNAL "CUDA version of the kernels, for hiermoe info")
    set(HM_CUDA_CODES "" CACHE INTERNAL "what the kernels were compiled for")
    return()
endif()

# Machine code for what this compiler knows of the wanted ones; PTX serves whatever comes later, and has what kernels
# there need to wait for one another.
execute_process(COMMAND ${HM_NVCC} --list-gpu-arch OUTPUT_VARIABLE known OUTPUT_STRIP_TRAILING_WHITESPACE)
set(architectures)
foreach(arch 80 90 100 120)
    if(known MATCHES "compute_${arch}(\n|$)")
        list(APPEND architectures -gencode arch=compute_${arch},code=sm_${arch})
    endif()
endforeach()
if(known MATCHES "compute_90(\n|$)")
    list(APPEND architectures -gencode arch=compute_90,code=compute_90)
else()
    list(APPEND architectures -gencode arch=compute_80,code=compute_80)
endif()

string(REGEX MATCH "release ([0-9.]+)" release "${release}")
set(HM_CUDA_BUILT "${CMAKE_MATCH_1}" CACHE INTERNAL "CUDA version of the kernels, for hiermoe info")
string(REGEX MATCHALL "code=[a-z0-9_]+" codes "${architectures}")
string(REPLACE "code=" "" codes "${codes}")
string(REPLACE ";" " " codes "${codes}")
set(HM_CUDA_CODES "${codes}" CACHE INTERNAL "what the kernels were compiled for")

# Uncompressed: drivers before 12.4 cannot unpack what newer compilers pack by default.
set(image ${CMAKE_CURRENT_BINARY_DIR}/image.fatbin)
set(device_sources)
foreach(source image.cu identify_class.cu identify_compare.cu identify_label.cu invert.cu mark.cu move.cu
        period_count.cu pick.cu sum.cu
        device.cuh element.h identify.cuh scan.cuh cuda_jobs.h kernels.h period.h sums.h)
    list(APPEND device_sources ${CMAKE_CURRENT_LIST_DIR}/${source})
endforeach()
add_custom_command(
    OUTPUT ${image}
    COMMAND ${HM_NVCC} -fatbin --no-compress -O3 -std=c++17 ${architectures} -I${CMAKE_CURRENT_LIST_DIR}
            ${CMAKE_CURRENT_LIST_DIR}/image.cu -o ${image}
    DEPENDS ${device_sources}
    COMMENT "CUDA kernels"
    VERBATIM)
add_custom_target(hm_cuda_image DEPENDS ${image})
add_dependencies(hm_kernels hm_cuda_image)

set(cuda_sources)
foreach(source cuda.c cuda_beside.c cuda_context.c cuda_device.c cuda_driver.c cuda_identify.c cuda_image.c
        cuda_invert.c cuda_mark.c cuda_memory.c cuda_move.c cuda_period.c cuda_pick.c cuda_share.c cuda_stage.c
        cuda_stream.c cuda_sum.c cuda_table.c cuda_tokens.c)
    list(APPEND cuda_sources ${CMAKE_CURRENT_LIST_DIR}/${source})
endforeach()
target_sources(hm_kernels PRIVATE ${cuda_sources})
set_property(SOURCE ${cuda_sources} APPEND PROPERTY COMPILE_OPTIONS -isystem ${HM_CUDA_INCLUDE})
set_property(SOURCE ${CMAKE_CURRENT_LIST_DIR}/cuda_image.c APPEND PROPERTY COMPILE_DEFINITIONS
             HM_CUDA_IMAGE_FILE="${image}")
set_property(SOURCE ${CMAKE_CURRENT_LIST_DIR}/cuda_image.c APPEND PROPERTY OBJECT_DEPENDS ${image})
target_link_libraries(hm_kernels PUBLIC ${CMAKE_DL_LIBS} pthread)
message(STATUS "CUDA back end: ${HM_NVCC}")
