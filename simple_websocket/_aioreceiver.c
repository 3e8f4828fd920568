/* Receiver: a future of asyncio's for one message, whose task can go on in the moment in which the message is there.
 *
 * asyncio's own have the event loop see to that at its next turn, which costs a tenth of a small message.  This has what a task
 * asks of a future that it waits for, and no more.  Belongs to the event loop's thread.
 *
 * Part of _aiospeedups; see aiowaiting.py.
 */

#include <Python.h>

enum { PENDING, RESULT, CANCELLED };

typedef struct {
    PyObject_HEAD
    PyObject *loop, *callback, *context, *result; /* of a cancelled one, the exception's argument */
    char state, blocking;
} Receiver;

/* Receiver(loop); one is made for each message, so without a tuple of arguments. */
static PyObject *
receiver_make(PyObject *type, PyObject *const *args, size_t nargs, PyObject *names)
{
    Receiver *self;

    if (PyVectorcall_NARGS(nargs) != 1 || (names != NULL && PyTuple_GET_SIZE(names))) {
        PyErr_SetString(PyExc_TypeError, "Receiver(loop)");
        return NULL;
    }
    self = (Receiver *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self != NULL)
        self->loop = Py_NewRef(args[0]);
    return (PyObject *)self;
}

static int
receiver_traverse(Receiver *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->result);
    return 0;
}

static int
receiver_clear(Receiver *self)
{
    Py_CLEAR(self->loop);
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->result);
    return 0;
}

static void
receiver_dealloc(Receiver *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    receiver_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
receiver_await(Receiver *self)
{
    return Py_NewRef(self);
}

static PyObject *
result_of(Receiver *self)
{
    PyObject *module, *error;

    if (self->state == RESULT)
        return Py_NewRef(self->result);
    module = PyImport_ImportModule("asyncio");
    if (module == NULL)
        return NULL;
    error = PyObject_GetAttrString(module, self->state == CANCELLED ? "CancelledError" : "InvalidStateError");
    Py_DECREF(module);
    if (error != NULL)
        PyErr_SetObject(error, self->result == NULL ? Py_None : self->result);
    Py_XDECREF(error);
    return NULL;
}

static PySendResult
receiver_send(Receiver *self, PyObject *nothing, PyObject **result)
{
    if (self->state == PENDING && !self->blocking) {
        self->blocking = 1;
        *result = Py_NewRef(self);
        return PYGEN_NEXT;
    }
    *result = result_of(self);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

static PyObject *
receiver_next(Receiver *self)
{
    PyObject *result, *stop;

    if (receiver_send(self, Py_None, &result) == PYGEN_RETURN) {
        stop = PyObject_CallOneArg(PyExc_StopIteration, result); /* made here: a tuple would be taken for arguments */
        if (stop != NULL)
            PyErr_SetObject(PyExc_StopIteration, stop);
        Py_XDECREF(stop);
        Py_CLEAR(result);
    }
    return result;
}

static PyObject *
receiver_add_done_callback(Receiver *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    int named = names != NULL && PyTuple_GET_SIZE(names) == 1;

    if (nargs != 1 || !named || !PyContext_CheckExact(args[1]) || self->callback != NULL || self->state != PENDING) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback(callback, *, context): of the task that waits, once");
        return NULL;
    }
    self->callback = Py_NewRef(args[0]);
    self->context = Py_NewRef(args[1]);
    Py_RETURN_NONE;
}

/* Have the event loop call back at its next turn. */
static int
schedule(Receiver *self)
{
    PyObject *method, *arguments, *keywords, *handle = NULL;

    if (self->callback == NULL)
        return 0;
    method = PyObject_GetAttrString(self->loop, "call_soon");
    arguments = PyTuple_Pack(2, self->callback, self);
    keywords = Py_BuildValue("{sO}", "context", self->context);
    if (method != NULL && arguments != NULL && keywords != NULL)
        handle = PyObject_Call(method, arguments, keywords);
    Py_XDECREF(method);
    Py_XDECREF(arguments);
    Py_XDECREF(keywords);
    Py_XDECREF(handle);
    Py_CLEAR(self->callback);
    return handle == NULL ? -1 : 0;
}

static int
finish(Receiver *self, char state, PyObject *result)
{
    if (self->state != PENDING) {
        PyErr_SetString(PyExc_RuntimeError, "the receiver is done");
        return -1;
    }
    self->state = state;
    self->result = Py_NewRef(result);
    return 0;
}

static PyObject *
receiver_cancel(Receiver *self, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"msg", NULL};
    PyObject *message = Py_None;

    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:cancel", names, &message))
        return NULL;
    if (self->state != PENDING)
        Py_RETURN_FALSE;
    if (finish(self, CANCELLED, message) < 0 || schedule(self) < 0)
        return NULL;
    Py_RETURN_TRUE;
}

static PyObject *
receiver_set_result(Receiver *self, PyObject *message)
{
    if (finish(self, RESULT, message) < 0 || schedule(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
receiver_resume(Receiver *self, PyObject *message)
{
    PyObject *callback, *result;

    if (finish(self, RESULT, message) < 0)
        return NULL;
    if (self->callback == NULL)
        Py_RETURN_NONE;
    if (PyContext_Enter(self->context) < 0) { /* we are in it already */
        PyErr_Clear();
        if (schedule(self) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    callback = self->callback;
    self->callback = NULL;
    result = PyObject_CallOneArg(callback, (PyObject *)self);
    Py_DECREF(callback);
    if (PyContext_Exit(self->context) < 0)
        Py_CLEAR(result);
    return result;
}

static PyObject *
receiver_done(Receiver *self, PyObject *nothing)
{
    return PyBool_FromLong(self->state != PENDING);
}

static PyObject *
receiver_cancelled(Receiver *self, PyObject *nothing)
{
    return PyBool_FromLong(self->state == CANCELLED);
}

static PyObject *
receiver_result(Receiver *self, PyObject *nothing)
{
    return result_of(self);
}

static PyObject *
receiver_get_loop(Receiver *self, PyObject *nothing)
{
    return Py_NewRef(self->loop);
}

static PyObject *
get_blocking(Receiver *self, void *closure)
{
    return PyBool_FromLong(self->blocking);
}

static int
set_blocking(Receiver *self, PyObject *value, void *closure)
{
    int blocking = value == NULL ? 0 : PyObject_IsTrue(value);

    if (blocking < 0)
        return -1;
    self->blocking = (char)blocking;
    return 0;
}

static PyMethodDef methods[] = {
    {"add_done_callback", (PyCFunction)(void (*)(void))receiver_add_done_callback, METH_FASTCALL | METH_KEYWORDS, NULL},
    {"cancel", (PyCFunction)(void (*)(void))receiver_cancel, METH_VARARGS | METH_KEYWORDS, NULL},
    {"cancelled", (PyCFunction)receiver_cancelled, METH_NOARGS, NULL},
    {"done", (PyCFunction)receiver_done, METH_NOARGS, NULL},
    {"get_loop", (PyCFunction)receiver_get_loop, METH_NOARGS, NULL},
    {"result", (PyCFunction)receiver_result, METH_NOARGS, NULL},
    {"resume", (PyCFunction)receiver_resume, METH_O, "resume(message): have the task go on with it now; no task may be running."},
    {"set_result", (PyCFunction)receiver_set_result, METH_O, "set_result(message): have the task go on with it soon."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
    {"_asyncio_future_blocking", (getter)get_blocking, (setter)set_blocking, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Receiver(loop): a future for one message, for one task."},
    {Py_tp_dealloc, receiver_dealloc},
    {Py_tp_traverse, receiver_traverse},
    {Py_tp_clear, receiver_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, receiver_next},
    {Py_tp_methods, methods},
    {Py_tp_getset, attributes},
    {Py_am_await, receiver_await},
    {Py_am_send, receiver_send},
    {0, NULL},
};

static PyType_Spec spec = {
    "simple_websocket._aiospeedups.Receiver", sizeof(Receiver), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots,
};

PyObject *
make_receiver_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);

    if (type != NULL)
        ((PyTypeObject *)type)->tp_vectorcall = receiver_make;
    return type;
}
