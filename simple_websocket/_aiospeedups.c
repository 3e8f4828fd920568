/* What is done for every message on asyncio, in C: send_message, which makes a frame and sends it in one step; and Receiver, which is
 * in _aioreceiver.c.
 *
 * Built where there is a compiler and never needed: see aiooutbound.py and aiowaiting.py.  The GIL is let go of for the system call.
 */

#include "protocol/_speedups.h"

#ifndef _WIN32
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#endif

/* A frame that is not longer is put together on the stack. */
#define SHORT 2048

/* What is left of a frame, of which so much was sent. */
static PyObject *
rest_of(const struct iovec *parts, int count, Py_ssize_t sent)
{
    Py_ssize_t left = -sent, skipped = sent, part;
    PyObject *rest;
    char *out;
    int i;

    for (i = 0; i < count; i++)
        left += (Py_ssize_t)parts[i].iov_len;
    rest = PyBytes_FromStringAndSize(NULL, left);
    if (rest == NULL || left == 0)
        return rest;
    out = PyBytes_AS_STRING(rest);
    for (i = 0; i < count; i++) {
        part = (Py_ssize_t)parts[i].iov_len;
        if (skipped < part) {
            memcpy(out, (const char *)parts[i].iov_base + skipped, part - skipped);
            out += part - skipped;
        }
        skipped = skipped < part ? 0 : skipped - part;
    }
    return rest;
}

/* Send the parts as one, without waiting; return how much was sent, or -1. */
static Py_ssize_t
send_parts(int fd, struct iovec *parts, int count)
{
    struct msghdr header = {.msg_iov = parts, .msg_iovlen = count};
    Py_ssize_t sent;

    Py_BEGIN_ALLOW_THREADS
    if (count == 1)
        sent = send(fd, parts[0].iov_base, parts[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    else
        sent = sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    Py_END_ALLOW_THREADS
    return sent;
}

static PyObject *
send_frame(int fd, const Message *message, const unsigned char *key)
{
    unsigned char frame[SHORT];
    struct iovec parts[2] = {{.iov_base = frame}};
    Py_ssize_t header = header_size(message->size), sent;
    int count = 1;

    put_header(frame, message, key != NULL);
    if (key != NULL) {
        memcpy(frame + header, key, 4);
        header += 4;
    }
    parts[0].iov_len = header;
    if (header + message->size <= SHORT) {
        if (key != NULL)
            mask(frame + header, message->payload, message->size, key);
        else
            memcpy(frame + header, message->payload, message->size);
        parts[0].iov_len += message->size;
    } else if (key != NULL) {
        Py_RETURN_NONE;
    } else {
        parts[1].iov_base = (void *)message->payload;
        parts[1].iov_len = message->size;
        count = 2;
    }
    sent = send_parts(fd, parts, count);
    if (sent < 0)
        Py_RETURN_NONE;
    return rest_of(parts, count, sent);
}
#endif

/* send_message(sock, data, key): send the frame of a small message, bytes or ASCII text; what the socket did not take is returned.
 * None for everything else, a socket that takes nothing or has failed among it: then nothing was sent.  The key is empty for a server,
 * which does not mask. */
static PyObject *
send_message(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    Message message;
    int fd;

    if (nargs != 3 || !PyBytes_Check(args[2]) || (PyBytes_GET_SIZE(args[2]) != 4 && PyBytes_GET_SIZE(args[2]) != 0)) {
        PyErr_SetString(PyExc_TypeError, "send_message(sock, data, key: bytes)");
        return NULL;
    }
    if (!look_at(args[1], &message))
        Py_RETURN_NONE;
    fd = PyObject_AsFileDescriptor(args[0]); /* now: when somebody has closed it, the number may be somebody else's */
    if (fd < 0) {
        if (!PyErr_ExceptionMatches(PyExc_ValueError))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
#ifdef _WIN32
    Py_RETURN_NONE;
#else
    return send_frame(
        fd, &message, PyBytes_GET_SIZE(args[2]) ? (const unsigned char *)PyBytes_AS_STRING(args[2]) : NULL);
#endif
}

extern PyObject *make_receiver_type(PyObject *module);

static int
execute(PyObject *module)
{
    PyObject *type = make_receiver_type(module);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;

    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyMethodDef methods[] = {
    {"send_message", (PyCFunction)(void (*)(void))send_message, METH_FASTCALL, NULL},
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
    PyModuleDef_HEAD_INIT, "_aiospeedups", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__aiospeedups(void)
{
    return PyModuleDef_Init(&definition);
}
