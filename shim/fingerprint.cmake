# cmake -DROOT=FOLDER -DOUT=FILE -P fingerprint.cmake: a header with a number made of all sources of the library.
file(GLOB sources ${ROOT}/shim/*.c ${ROOT}/shim/*.h ${ROOT}/shim/*.def ${ROOT}/planner/*.c ${ROOT}/planner/*.h
     ${ROOT}/kernels/*.c ${ROOT}/kernels/*.h ${ROOT}/kernels/*.cu ${ROOT}/kernels/*.cuh)
list(SORT sources)
foreach(source ${sources})
    file(SHA256 ${source} one)
    string(APPEND all ${one})
endforeach()
string(SHA256 all "${all}")
string(SUBSTRING ${all} 0 8 all)
file(WRITE ${OUT} "#ifndef HM_FINGERPRINT\n#define HM_FINGERPRINT 0x${all}u\n#endif\n")
