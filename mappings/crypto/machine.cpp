// Asks the processor, or the system where the processor may not be asked.
#include "mappings/crypto/machine.hpp"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace post::crypto {

bool machine_has_aes() {
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & HWCAP_AES) != 0;
#else
    return false;
#endif
}

bool machine_has_aes_and_avx2() {
#if defined(__x86_64__)
    return machine_has_aes() && __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

}  // namespace post::crypto
