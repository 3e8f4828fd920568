/* What the files in C share: masking (RFC 6455 section 5.3), and the header of a message that is all of one frame (section 5.2). */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Letting go of the GIL costs about what masking this much does. */
#define LARGE (64 * 1024)

/* Since Python 3.12 every string is. */
#if PY_VERSION_HEX < 0x030C0000
#define IS_READY(text) PyUnicode_IS_READY(text)
#else
#define IS_READY(text) 1
#endif

#define FINAL_TEXT 0x81
#define FINAL_BINARY 0x82
#define MAX_HEADER 14

/* A message that can be sent as it is: bytes, or ASCII text. */
typedef struct {
    const unsigned char *payload;
    Py_ssize_t size;
    unsigned char first; /* of the frame's bytes */
} Message;

/* Look at a message; return whether it can be sent as it is, and is small. */
static inline int
look_at(PyObject *data, Message *message)
{
    if (PyUnicode_Check(data) && IS_READY(data) && PyUnicode_IS_ASCII(data)) {
        message->first = FINAL_TEXT;
        message->payload = PyUnicode_1BYTE_DATA(data);
        message->size = PyUnicode_GET_LENGTH(data);
    } else if (PyBytes_Check(data)) {
        message->first = FINAL_BINARY;
        message->payload = (const unsigned char *)PyBytes_AS_STRING(data);
        message->size = PyBytes_GET_SIZE(data);
    } else {
        return 0;
    }
    return message->size <= LARGE;
}

/* How long the header of a frame is, without the masking key. */
static inline Py_ssize_t
header_size(Py_ssize_t size)
{
    return size < 126 ? 2 : size < 65536 ? 4 : 10;
}

/* Write the header of a small message's frame, without the masking key. */
static inline void
put_header(unsigned char *out, const Message *message, int masked)
{
    Py_ssize_t size = message->size;
    unsigned char mask_bit = masked ? 0x80 : 0;

    out[0] = message->first;
    if (size < 126) {
        out[1] = (unsigned char)(mask_bit | size);
    } else if (size < 65536) {
        out[1] = mask_bit | 126;
        out[2] = (unsigned char)(size >> 8);
        out[3] = (unsigned char)size;
    } else {
        memset(out + 1, 0, 9);
        out[1] = mask_bit | 127;
        out[7] = (unsigned char)(size >> 16);
        out[8] = (unsigned char)(size >> 8);
        out[9] = (unsigned char)size;
    }
}

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
