/* PayloadBuffer: where a large payload is received.  What comes from the socket is written where it will stay and unmasked there,
 * so that there is never a second one of its size.  It grows with what has come, whatever the frame's header has announced.
 *
 * Belongs to whoever holds its connection's read lock.
 */

#include "_speedups.h"

/* Room is made for so many bytes at the least, and for so many times what there is: more for a short beginning, behind which a
 * payload of some dozen KiB shall be read at once. */
#define LEAST_ROOM (32 * 1024)
#define SHORT (16 * 1024)
#define GROWTH_OF_SHORT 32
#define GROWTH 4

typedef struct {
    PyObject_HEAD
    PyObject *bytes; /* NULL once taken; a view has its own reference, because event loops let go of theirs late */
    Py_ssize_t filled, size;
    unsigned char key[4];
    unsigned char masked, text, high;
} Buffer;

static PyObject *
buffer_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"size", "key", "text", NULL};
    Py_ssize_t size, keyed;
    const char *key;
    int text;
    Buffer *self;

    if (!PyArg_ParseTupleAndKeywords(args, keywords, "ny#p:PayloadBuffer", names, &size, &key, &keyed, &text))
        return NULL;
    if (size < 1 || (keyed != 0 && keyed != 4)) {
        PyErr_SetString(PyExc_ValueError, "a payload has a size, and a masking key four bytes");
        return NULL;
    }
    self = (Buffer *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    memcpy(self->key, key, (size_t)keyed);
    self->size = size;
    self->masked = keyed != 0;
    self->text = (unsigned char)text;
    self->bytes = PyBytes_FromStringAndSize(NULL, 0);
    if (self->bytes == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void
buffer_dealloc(Buffer *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(self->bytes);
    type->tp_free(self);
    Py_DECREF(type);
}

static unsigned char *
end_of(Buffer *self)
{
    return (unsigned char *)PyBytes_AS_STRING(self->bytes) + self->filled;
}

static Py_ssize_t
room_in(Buffer *self)
{
    return PyBytes_GET_SIZE(self->bytes) - self->filled;
}

static int
untaken(Buffer *self)
{
    if (self->bytes == NULL)
        PyErr_SetString(PyExc_ValueError, "the payload was taken");
    return self->bytes != NULL;
}

static int
resize(Buffer *self, Py_ssize_t size)
{
    PyObject *bytes;

    if (Py_REFCNT(self->bytes) == 1)
        return _PyBytes_Resize(&self->bytes, size);
    bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes == NULL)
        return -1;
    memcpy(PyBytes_AS_STRING(bytes), PyBytes_AS_STRING(self->bytes), (size_t)self->filled);
    Py_SETREF(self->bytes, bytes);
    return 0;
}

/* Make room for so many bytes more, and for others while at it. */
static int
make_room(Buffer *self, Py_ssize_t size)
{
    Py_ssize_t wanted = self->filled + size;
    Py_ssize_t growth = wanted < SHORT ? GROWTH_OF_SHORT : GROWTH;

    if (size <= room_in(self))
        return 0;
    wanted = wanted < self->size / growth ? wanted * growth : self->size;
    if (wanted < LEAST_ROOM)
        wanted = self->size < LEAST_ROOM ? self->size : LEAST_ROOM;
    return resize(self, wanted);
}

/* Take the next bytes of the payload, which are in their place already or come from somewhere else. */
static void
take_in(Buffer *self, const unsigned char *from, Py_ssize_t size)
{
    unsigned char *to = end_of(self), key[4];
    PyObject *bytes = self->bytes;
    int i;

    for (i = 0; i < 4; i++)
        key[i] = self->key[(self->filled + i) & 3];
    Py_INCREF(bytes); /* so that it stays where it is without the GIL */
    if (self->masked || self->text)
        self->high |= mask_politely(to, from, size, key);
    else if (to != from)
        memcpy(to, from, (size_t)size);
    Py_DECREF(bytes);
    self->filled += size;
}

static int
buffer_get(Buffer *self, Py_buffer *view, int flags)
{
    view->obj = NULL;
    if (!untaken(self) || make_room(self, self->filled < self->size) < 0)
        return -1;
    if (PyBuffer_FillInfo(view, (PyObject *)self, end_of(self), room_in(self), 0, flags) < 0)
        return -1;
    view->internal = Py_NewRef(self->bytes);
    return 0;
}

static void
buffer_release(Buffer *self, Py_buffer *view)
{
    Py_DECREF((PyObject *)view->internal);
}

static PyObject *
buffer_received(Buffer *self, PyObject *count)
{
    Py_ssize_t size = PyLong_AsSsize_t(count);

    if ((size == -1 && PyErr_Occurred()) || !untaken(self))
        return NULL;
    if (size < 0 || size > room_in(self)) {
        PyErr_SetString(PyExc_ValueError, "the view has no room for so many bytes");
        return NULL;
    }
    take_in(self, end_of(self), size);
    Py_RETURN_NONE;
}

static PyObject *
buffer_put(Buffer *self, PyObject *const *args, Py_ssize_t nargs)
{
    Py_ssize_t pos, size;

    if (nargs != 2 || !PyBytes_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "put(data: bytes, pos)");
        return NULL;
    }
    pos = PyLong_AsSsize_t(args[1]);
    if ((pos == -1 && PyErr_Occurred()) || !untaken(self))
        return NULL;
    size = PyBytes_GET_SIZE(args[0]) - pos;
    if (pos < 0 || size < 0) {
        PyErr_SetString(PyExc_ValueError, "no such position");
        return NULL;
    }
    if (size > self->size - self->filled)
        size = self->size - self->filled;
    if (make_room(self, size) < 0)
        return NULL;
    take_in(self, (const unsigned char *)PyBytes_AS_STRING(args[0]) + pos, size);
    return PyLong_FromSsize_t(size);
}

static PyObject *
buffer_take(Buffer *self, PyObject *nothing)
{
    PyObject *payload;

    if (!untaken(self) || (room_in(self) && resize(self, self->filled) < 0))
        return NULL;
    payload = self->bytes;
    self->bytes = NULL;
    return payload;
}

static PyObject *
buffer_ready(Buffer *self, void *closure)
{
    return PyBool_FromLong(self->filled == self->size || (self->text && self->high));
}

static PyObject *
buffer_filled(Buffer *self, void *closure)
{
    return PyLong_FromSsize_t(self->filled);
}

static PyMethodDef methods[] = {
    {"put", (PyCFunction)(void (*)(void))buffer_put, METH_FASTCALL,
     "put(data, pos): take what belongs to the payload of data[pos:]; return how many bytes that were."},
    {"received", (PyCFunction)buffer_received, METH_O, "received(count): so many bytes have been written into the view."},
    {"take", (PyCFunction)buffer_take, METH_NOARGS, "take(): return what there is, unmasked; nothing can be added any more."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"filled", (getter)buffer_filled, NULL, "How many bytes there are.", NULL},
    {"ready", (getter)buffer_ready, NULL, "Whether it is complete, or a text that is not ASCII and has to be looked at.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "PayloadBuffer(size, key, text): room for a payload; its view is the part that is not filled yet."},
    {Py_tp_new, buffer_new},
    {Py_tp_dealloc, buffer_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_bf_getbuffer, buffer_get},
    {Py_bf_releasebuffer, buffer_release},
    {0, NULL},
};

PyType_Spec payload_buffer_spec = {
    "simple_websocket.protocol._speedups.PayloadBuffer", sizeof(Buffer), 0, Py_TPFLAGS_DEFAULT, slots,
};
