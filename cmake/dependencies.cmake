# What the project builds on; why each is there: docs/dependencies.md.
find_package(fmt REQUIRED)
find_package(CURL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Threads REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
find_package(ICU REQUIRED COMPONENTS uc)

# libtorch, as unpacked by scripts/setup.sh from the PyTorch wheel. Hand-written targets: find_package(Torch) adds foreign
# run paths and asks for the CUDA toolkit. Only what the CPU and the CUDA wheel both have is linked.
if(ASSAY_ENGINE)
  set(ASSAY_LIBTORCH ${CMAKE_SOURCE_DIR}/.deps/libtorch CACHE PATH "libtorch: include/ and lib/")
  if(NOT EXISTS ${ASSAY_LIBTORCH}/lib/libtorch_cpu.so)
    message(FATAL_ERROR "libtorch not found in ${ASSAY_LIBTORCH}: run scripts/setup.sh first")
  endif()
  # torch ships a newer fmt header than the system's library; the shim puts the system's first.
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/shim)
  file(CREATE_LINK /usr/include/fmt ${CMAKE_BINARY_DIR}/shim/fmt SYMBOLIC)
  add_library(c10 SHARED IMPORTED)
  set_target_properties(c10 PROPERTIES IMPORTED_LOCATION ${ASSAY_LIBTORCH}/lib/libc10.so)
  add_library(torch_cpu SHARED IMPORTED)
  set_target_properties(torch_cpu PROPERTIES IMPORTED_LOCATION ${ASSAY_LIBTORCH}/lib/libtorch_cpu.so)
  target_include_directories(torch_cpu SYSTEM BEFORE INTERFACE ${CMAKE_BINARY_DIR}/shim ${ASSAY_LIBTORCH}/include
                             ${ASSAY_LIBTORCH}/include/torch/csrc/api/include)
  # at::parallel_for is a template that runs serially in code compiled without OpenMP. libgomp is the one libtorch brings (same SONAME).
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  target_link_libraries(torch_cpu INTERFACE c10 OpenMP::OpenMP_CXX)
endif()
