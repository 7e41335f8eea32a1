# drcoord.cmake -- how every target of this project is built.
#
# dr_module(NAME DIR SOURCES... [DEPS target...]) makes the static library of one folder.  Its headers
# are seen as "DIR/x.h", and only by targets that name the library in DEPS: each folder gets an include
# root of its own that holds nothing but a link to it.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g3")

option(DR_TESTS "build the tests" ON)
set(DR_SANITIZE "" CACHE STRING "sanitizers, comma separated (address,undefined or thread)")
option(DR_FUZZ "build drcoord-fuzz, everything instrumented for libFuzzer (clang only; preset fuzz)" OFF)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Werror -fstack-protector-strong -fno-common -fmacro-prefix-map=${CMAKE_SOURCE_DIR}/=)
add_link_options(-Wl,-z,relro,-z,now -Wl,--as-needed)
if(DR_SANITIZE)
  add_compile_options(-fsanitize=${DR_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DR_SANITIZE})
endif()
if(DR_FUZZ)
  set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
find_library(AIO aio REQUIRED) # it brings no file for pkg-config
pkg_check_modules(RAFT REQUIRED IMPORTED_TARGET raft>=0.22.1)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq)
pkg_check_modules(MYSQL REQUIRED IMPORTED_TARGET mysqlclient)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(SSL REQUIRED IMPORTED_TARGET openssl)
pkg_check_modules(PBC REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(MHD REQUIRED IMPORTED_TARGET libmicrohttpd)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
if(DR_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()

function(dr_include_root target dir)
  string(REPLACE "/" "_" flat ${dir})
  set(root ${CMAKE_BINARY_DIR}/inc/${flat})
  get_filename_component(parent ${root}/${dir} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_SOURCE_DIR}/${dir} ${root}/${dir} SYMBOLIC)
  target_include_directories(${target} PUBLIC ${root})
endfunction()

function(dr_module name dir)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${M_SOURCES})
  dr_include_root(${name} ${dir})
  target_link_libraries(${name} PUBLIC ${M_DEPS})
endfunction()

# dr_test(NAME SOURCES file... [DEPS target...] [THREADS]) makes one cmocka program and registers it.
# THREADS: the test uses threads (libuv's pool counts), so `./check --only tsan` runs it too.
add_custom_target(threads_tests)
function(dr_test name)
  cmake_parse_arguments(T "THREADS" "" "SOURCES;DEPS" ${ARGN})
  if(DR_TESTS)
    add_executable(${name} ${T_SOURCES} ${T_UNPARSED_ARGUMENTS})
    if(T_THREADS)
      add_dependencies(threads_tests ${name})
    endif()
    target_link_libraries(${name} PRIVATE ${T_DEPS} PkgConfig::CMOCKA)
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "$<$<BOOL:${T_THREADS}>:threads>")
  endif()
endfunction()
