// What the processor computes by itself, as far as the choice of ciphers and of code depends on it.
#pragma once

namespace post::crypto {

// AES and the carry-less multiplication of GCM: with both, AES-GCM is several times faster than
// ChaCha20-Poly1305, and takes the same time whatever the key.
bool machine_has_aes();
// And wide vectors, which libipsec-mb's code for x86-64 gains by.
bool machine_has_aes_and_avx2();

}  // namespace post::crypto
