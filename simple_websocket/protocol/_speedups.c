/* What is done for every message or every byte, in C (RFC 6455 sections 5.2 and 5.3): apply_mask and unmask, which masking.py has
 * in Python; whole_message, sole_message and whole_frame, short cuts through the decoder, the assembler and the encoder; and
 * PayloadBuffer, which is in _payload_buffer.c.
 *
 * Built where there is a compiler and never needed.  The functions have no state, so any thread may call them, with or without the
 * GIL; it is let go of for large payloads.
 */

#include "_speedups.h"

static PyObject *
masked(const unsigned char *in, Py_ssize_t size, const unsigned char *key)
{
    PyObject *result = PyBytes_FromStringAndSize(NULL, size);

    if (result == NULL)
        return NULL;
    mask_politely((unsigned char *)PyBytes_AS_STRING(result), in, size, key);
    return result;
}

static PyObject *
apply_mask(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer payload, key;
    PyObject *result = NULL;

    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "apply_mask(payload, key)");
        return NULL;
    }
    if (PyObject_GetBuffer(args[0], &payload, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[1], &key, PyBUF_SIMPLE) == 0) {
        if (key.len == 4)
            result = masked(payload.buf, payload.len, key.buf);
        else
            PyErr_SetString(PyExc_ValueError, "a masking key has four bytes");
        PyBuffer_Release(&key);
    }
    PyBuffer_Release(&payload);
    return result;
}

static PyObject *
unmask(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t start, end;
    const unsigned char *data;

    if (nargs != 3 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "unmask(data: bytes, start, end)");
        return NULL;
    }
    start = PyLong_AsSsize_t(args[1]);
    end = PyLong_AsSsize_t(args[2]);
    if ((start == -1 || end == -1) && PyErr_Occurred())
        return NULL;
    if (start < 4 || end < start || end > PyBytes_GET_SIZE(args[0])) {
        PyErr_SetString(PyExc_ValueError, "no masking key and payload there");
        return NULL;
    }
    data = (const unsigned char *)PyBytes_AS_STRING(args[0]);
    return masked(data + start, end - start, data + start - 4);
}

/* The message that these bytes begin with; when it has to be alone, nothing may follow it. */
static PyObject *
message_in(const unsigned char *data, Py_ssize_t left, long mask_bit, Py_ssize_t limit, int alone)
{
    static const unsigned char no_key[4];
    const unsigned char *key;
    Py_ssize_t header = 2;
    uint64_t size;
    int i, bytes;
    PyObject *text;

    if (left < 2)
        Py_RETURN_NONE;
    if ((data[0] != FINAL_TEXT && data[0] != FINAL_BINARY) || (data[1] & 0x80) != mask_bit)
        Py_RETURN_NONE;
    size = data[1] & 0x7f;
    if (size > 125) {
        bytes = size == 126 ? 2 : 8;
        header += bytes;
        if (left < header)
            Py_RETURN_NONE;
        for (size = 0, i = 2; i < header; i++)
            size = size << 8 | data[i];
        if (size < (bytes == 2 ? 126 : 65536))
            Py_RETURN_NONE;
    }
    key = mask_bit ? data + header : no_key;
    header += mask_bit ? 4 : 0;
    if (left < header || size > (uint64_t)(left - header) || size > (uint64_t)limit)
        Py_RETURN_NONE;
    if (alone && size != (uint64_t)(left - header))
        Py_RETURN_NONE;
    if (data[0] == FINAL_BINARY)
        return masked(data + header, (Py_ssize_t)size, key);
    text = PyUnicode_New((Py_ssize_t)size, 127);
    if (text == NULL || size == 0)
        return text;
    if (mask_politely(PyUnicode_1BYTE_DATA(text), data + header, (Py_ssize_t)size, key)) {
        Py_DECREF(text);
        Py_RETURN_NONE;
    }
    return text;
}

/* whole_message(data, pos, mask_bit, limit): the message at data[pos:], when that is all of one unfragmented frame without reserved
 * bits and of at most limit bytes: bytes, or ASCII text; None for everything else, whether it is wrong, incomplete or only rarer. */
static PyObject *
whole_message(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t pos, limit;
    long mask_bit;

    if (nargs != 4 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "whole_message(data: bytes, pos, mask_bit, limit)");
        return NULL;
    }
    pos = PyLong_AsSsize_t(args[1]);
    mask_bit = PyLong_AsLong(args[2]);
    limit = PyLong_AsSsize_t(args[3]);
    if ((pos == -1 || mask_bit == -1 || limit == -1) && PyErr_Occurred())
        return NULL;
    if (pos < 0)
        Py_RETURN_NONE;
    return message_in(
        (const unsigned char *)PyBytes_AS_STRING(args[0]) + pos, PyBytes_GET_SIZE(args[0]) - pos, mask_bit, limit, 0);
}

/* sole_message(buffer, size, mask_bit, limit): the same for what the first bytes of a buffer are, with nothing behind it. */
static PyObject *
sole_message(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Py_buffer buffer;
    Py_ssize_t size, limit;
    long mask_bit;
    PyObject *message = NULL;

    if (nargs != 4) {
        PyErr_SetString(PyExc_TypeError, "sole_message(buffer, size, mask_bit, limit)");
        return NULL;
    }
    size = PyLong_AsSsize_t(args[1]);
    mask_bit = PyLong_AsLong(args[2]);
    limit = PyLong_AsSsize_t(args[3]);
    if ((size == -1 || mask_bit == -1 || limit == -1) && PyErr_Occurred())
        return NULL;
    if (PyObject_GetBuffer(args[0], &buffer, PyBUF_SIMPLE) < 0)
        return NULL;
    if (size <= buffer.len)
        message = message_in(buffer.buf, size, mask_bit, limit, 1);
    else
        PyErr_SetString(PyExc_ValueError, "the buffer is smaller than that");
    PyBuffer_Release(&buffer);
    return message;
}

/* whole_frame(data, key): the frame of a message of at most 64 KiB: bytes, or ASCII text; None for everything else.  The key is empty
 * for a server, which does not mask. */
static PyObject *
whole_frame(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Message message;
    Py_ssize_t header, keyed;
    PyObject *frame;
    unsigned char *out;

    if (nargs != 2 || !PyBytes_Check(args[1]) || (PyBytes_GET_SIZE(args[1]) != 4 && PyBytes_GET_SIZE(args[1]) != 0)) {
        PyErr_SetString(PyExc_TypeError, "whole_frame(data, key: bytes)");
        return NULL;
    }
    if (!look_at(args[0], &message))
        Py_RETURN_NONE;
    keyed = PyBytes_GET_SIZE(args[1]);
    header = header_size(message.size);
    frame = PyBytes_FromStringAndSize(NULL, header + keyed + message.size);
    if (frame == NULL)
        return NULL;
    out = (unsigned char *)PyBytes_AS_STRING(frame);
    put_header(out, &message, keyed != 0);
    if (keyed) {
        memcpy(out + header, PyBytes_AS_STRING(args[1]), 4);
        mask(out + header + 4, message.payload, message.size, out + header);
    } else {
        memcpy(out + header, message.payload, message.size);
    }
    return frame;
}

static int
execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &payload_buffer_spec, NULL);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;

    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyMethodDef methods[] = {
    {"apply_mask", (PyCFunction)(void (*)(void))apply_mask, METH_FASTCALL, NULL},
    {"sole_message", (PyCFunction)(void (*)(void))sole_message, METH_FASTCALL, NULL},
    {"unmask", (PyCFunction)(void (*)(void))unmask, METH_FASTCALL, NULL},
    {"whole_frame", (PyCFunction)(void (*)(void))whole_frame, METH_FASTCALL, NULL},
    {"whole_message", (PyCFunction)(void (*)(void))whole_message, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, execute},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_speedups", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__speedups(void)
{
    return PyModuleDef_Init(&definition);
}
