# Finds the libraries that post stands on, and says for each whether it is one of the static
# archives that .ci/setup built (then an installed libpost.a needs a copy beside it).
#
# Sets POST_DEPENDENCIES (targets), POST_BUNDLED (archives, in link order), and what a program linked
# with libpost.a needs of the system: POST_REQUIRED (pkg-config modules) and POST_SYSTEM_LIBRARIES.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# The same rule as in .ci/setup.
if(POST_DEPS)
    set(post_prefix "${POST_DEPS}")
elseif(DEFINED ENV{POST_CACHE} AND NOT "$ENV{POST_CACHE}" STREQUAL "")
    set(post_prefix "$ENV{POST_CACHE}/deps")
elseif(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(post_prefix "$ENV{XDG_CACHE_HOME}/post/deps")
else()
    set(post_prefix "$ENV{HOME}/.cache/post/deps")
endif()
if(EXISTS "${post_prefix}")
    file(REAL_PATH "${post_prefix}" post_prefix)
    if(DEFINED ENV{PKG_CONFIG_PATH})
        set(ENV{PKG_CONFIG_PATH} "${post_prefix}/lib/pkgconfig:$ENV{PKG_CONFIG_PATH}")
    else()
        set(ENV{PKG_CONFIG_PATH} "${post_prefix}/lib/pkgconfig")
    endif()
endif()

# A prefix made anew since the last time: what was found in the old one is forgotten.
if(NOT "${POST_LAST_PREFIX}" STREQUAL "${post_prefix}")
    get_cmake_property(post_cached CACHE_VARIABLES)
    foreach(variable IN LISTS post_cached)
        if(variable MATCHES "^(__pkg_config_checked_|pkgcfg_lib_)?POST_(NGTCP2|NGHTTP3|CARES|USRSCTP|SQLITE|GNUTLS)")
            unset(${variable} CACHE)
        endif()
    endforeach()
    set(POST_LAST_PREFIX "${post_prefix}" CACHE INTERNAL "where dependencies were found")
    message(STATUS "post: dependencies from ${post_prefix}, then from the system")
endif()

set(POST_DEPENDENCIES "")
set(POST_BUNDLED "")
set(POST_REQUIRED "")

# In link order: who uses stands before what is used.
foreach(entry IN ITEMS
        "POST_NGTCP2_CRYPTO|libngtcp2_crypto_gnutls>=1.11"
        "POST_NGTCP2|libngtcp2>=1.11"
        "POST_NGHTTP3|libnghttp3>=1.8"
        "POST_CARES|libcares>=1.34"
        "POST_USRSCTP|usrsctp>=0.9.5"
        "POST_SQLITE|sqlite3>=3.40"
        "POST_GNUTLS|gnutls>=3.7.9")
    string(REPLACE "|" ";" entry "${entry}")
    list(GET entry 0 name)
    list(GET entry 1 module)
    pkg_check_modules(${name} IMPORTED_TARGET "${module}")
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "post: ${module} was not found. Run .ci/setup first (it says what is "
            "missing, and gets it), or set POST_DEPS to a prefix that has it.")
    endif()
    list(APPEND POST_DEPENDENCIES PkgConfig::${name})
    list(GET ${name}_LINK_LIBRARIES 0 library)
    if(library MATCHES "\\.a$" AND library MATCHES "^${post_prefix}/")
        list(APPEND POST_BUNDLED "${library}")
    else()
        string(REGEX REPLACE ">=.*" "" module "${module}")
        list(APPEND POST_REQUIRED "${module}")
    endif()
endforeach()
list(APPEND POST_DEPENDENCIES Threads::Threads)

# libipsec-mb has no pkg-config file. It is for x86-64, and used where the processor suits it.
set(POST_IPSEC_MB AUTO CACHE STRING
    "Packet protection by libipsec-mb too: AUTO (where it is found), ON or OFF")
set_property(CACHE POST_IPSEC_MB PROPERTY STRINGS AUTO ON OFF)
set(POST_WITH_IPSEC_MB OFF)
set(POST_SYSTEM_LIBRARIES "")
if(POST_IPSEC_MB AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    find_path(POST_IPSEC_MB_INCLUDE intel-ipsec-mb.h)
    find_library(POST_IPSEC_MB_LIBRARY IPSec_MB)
    if(POST_IPSEC_MB_INCLUDE AND POST_IPSEC_MB_LIBRARY)
        set(POST_WITH_IPSEC_MB ON)
    endif()
endif()
if(POST_WITH_IPSEC_MB)
    add_library(post_ipsec_mb INTERFACE IMPORTED)
    target_include_directories(post_ipsec_mb SYSTEM INTERFACE "${POST_IPSEC_MB_INCLUDE}")
    target_link_libraries(post_ipsec_mb INTERFACE "${POST_IPSEC_MB_LIBRARY}")
    list(APPEND POST_DEPENDENCIES post_ipsec_mb)
    list(APPEND POST_SYSTEM_LIBRARIES IPSec_MB)
elseif(POST_IPSEC_MB STREQUAL "ON")
    message(FATAL_ERROR "post: POST_IPSEC_MB is ON, but libipsec-mb was not found, or this is not "
        "x86-64. On Debian it is the package libipsec-mb-dev.")
endif()
