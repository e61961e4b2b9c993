# How our own targets are compiled: post_settings(TARGET) for the library, tests and examples.

if(POST_SANITIZE AND POST_TSAN)
    message(FATAL_ERROR "POST_SANITIZE and POST_TSAN exclude each other")
endif()
if(POST_FUZZ AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "POST_FUZZ needs clang (-DCMAKE_CXX_COMPILER=clang++)")
endif()

set(post_sanitizers "")
if(POST_SANITIZE OR POST_FUZZ)
    list(APPEND post_sanitizers -fsanitize=address,undefined)
endif()
if(POST_TSAN)
    list(APPEND post_sanitizers -fsanitize=thread)
endif()
if(post_sanitizers)
    list(APPEND post_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()

function(post_settings target)
    target_compile_features(${target} PRIVATE cxx_std_20)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
        -Wnon-virtual-dtor -Wold-style-cast)
    if(POST_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        # g++ 12 warns here of designated initialisers that leave the defaults to the rest, and with
        # -O3 of copies of strings that cannot overlap (its bug 105329).
        target_compile_options(${target} PRIVATE -Wno-missing-field-initializers -Wno-restrict)
    else()
        target_compile_options(${target} PRIVATE -Wno-missing-field-initializers
            -Wno-missing-braces)
    endif()
    if(post_sanitizers)
        target_compile_options(${target} PRIVATE ${post_sanitizers})
        target_link_options(${target} PRIVATE ${post_sanitizers})
        if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
            # Instrumented code makes g++ see what is not there.
            target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
        endif()
    endif()
    if(POST_FUZZ)
        target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION)
        # Built dependencies carry code for link-time optimisation too; this link does not want it.
        target_link_options(${target} PRIVATE -fno-lto)
    endif()
endfunction()
