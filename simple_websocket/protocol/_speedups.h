/* What the files of _speedups share: masking (RFC 6455 section 5.3). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Letting go of the GIL costs about what masking this much does. */
#define LARGE (64 * 1024)

/* Mask, or unmask; return the high bit of what came out, which is 0 for ASCII. */
static inline unsigned char
mask(unsigned char *out, const unsigned char *in, Py_ssize_t size, const unsigned char *key)
{
    uint64_t wide, word, seen = 0;
    Py_ssize_t i = 0;
    unsigned char rest = 0;

    memcpy(&wide, key, 4);
    memcpy((unsigned char *)&wide + 4, key, 4);
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= wide;
        seen |= word;
        memcpy(out + i, &word, 8);
    }
    for (; i < size; i++)
        rest |= out[i] = in[i] ^ key[i & 3];
    return (rest & 0x80) | ((seen & UINT64_C(0x8080808080808080)) ? 0x80 : 0);
}

/* The same, without the GIL when that pays. */
static inline unsigned char
mask_politely(unsigned char *out, const unsigned char *in, Py_ssize_t size, const unsigned char *key)
{
    unsigned char seen;

    if (size < LARGE)
        return mask(out, in, size, key);
    Py_BEGIN_ALLOW_THREADS
    seen = mask(out, in, size, key);
    Py_END_ALLOW_THREADS
    return seen;
}

extern PyType_Spec payload_buffer_spec;
