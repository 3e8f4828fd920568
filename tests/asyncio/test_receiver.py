"""The future in C for which receive() waits: what a task asks of it, and that the task goes on at once."""

import asyncio
import contextvars
import gc
import weakref

import pytest

Receiver = pytest.importorskip("simple_websocket._aiospeedups", reason="not built here").Receiver


async def started(receiver):
    """A task that waits for it, and has come there."""

    async def wait():
        return await receiver

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    assert not task.done() and receiver.get_loop() is asyncio.get_running_loop()
    return task


def from_the_loop(call, *arguments):
    """Call it where no task is running; the future's result says what came of it."""
    loop = asyncio.get_running_loop()
    came = loop.create_future()

    def run():
        try:
            came.set_result(call(*arguments))
        except Exception as error:
            came.set_exception(error)

    loop.call_soon(run)
    return came


async def test_the_task_goes_on_at_once():
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    assert await from_the_loop(lambda: (receiver.resume("hello"), task.done(), receiver.done())) == (None, True, True)
    assert task.result() == receiver.result() == "hello"


async def test_the_task_goes_on_soon():
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    receiver.set_result(b"hello")
    assert receiver.done() and not receiver.cancelled() and not task.done()
    assert await task == b"hello"


@pytest.mark.parametrize("call", ["resume", "set_result"])
async def test_a_message_before_anybody_waits(call):
    receiver = Receiver(asyncio.get_running_loop())
    getattr(receiver, call)("early")
    assert await receiver == "early"
    assert await receiver == "early"


async def test_a_message_that_is_an_exception_or_a_tuple():
    for message in ((1, 2), ValueError("it"), None, StopIteration(5)):
        receiver = Receiver(asyncio.get_running_loop())
        task = await started(receiver)
        receiver.set_result(message)
        assert await task is message


@pytest.mark.parametrize("words", [(), ("why",)])
async def test_cancelling(words):
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    task.cancel(*words)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert receiver.cancelled() and receiver.done() and not receiver.cancel()
    with pytest.raises(asyncio.CancelledError) as error:
        receiver.result()
    assert error.value.args == words
    for call in (receiver.resume, receiver.set_result):
        with pytest.raises(RuntimeError, match="done"):
            call("late")


async def test_cancelling_what_has_a_message():
    """The task is to go on with it, and is cancelled before it has: asyncio's way, `stand_back` sees to the message."""
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    receiver.set_result("there")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert receiver.result() == "there" and not receiver.cancelled()


async def test_a_time_limit():
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(started_forever(), 0.01)


async def started_forever():
    await Receiver(asyncio.get_running_loop())


async def test_the_task_has_its_own_context():
    name = contextvars.ContextVar("name")
    receiver = Receiver(asyncio.get_running_loop())
    seen = []

    async def wait():
        name.set("the task's")
        seen.append(await receiver)
        seen.append(name.get())

    name.set("ours")
    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    await from_the_loop(receiver.resume, "message")
    await task
    assert seen == ["message", "the task's"] and name.get() == "ours"


async def test_inside_the_context_of_the_task():
    """It cannot be entered twice: then the loop's next turn has to do."""
    receiver = Receiver(asyncio.get_running_loop())
    contexts = []

    async def wait():
        contexts.append(contextvars.copy_context())
        return await receiver

    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    task = context.run(loop.create_task, wait())
    await asyncio.sleep(0)
    callback, added = [], receiver.__class__(loop)
    added.add_done_callback(callback.append, context=context)
    await from_the_loop(context.run, added.resume, "message")
    assert callback == [added]
    receiver.set_result("message")
    assert await task == "message"


async def test_an_exception_is_the_tasks():
    receiver = Receiver(asyncio.get_running_loop())

    async def fail():
        raise LookupError(await receiver)

    task = asyncio.ensure_future(fail())
    await asyncio.sleep(0)
    await from_the_loop(receiver.resume, "message")
    with pytest.raises(LookupError, match="message"):
        await task


async def test_wrong_use():
    loop = asyncio.get_running_loop()
    receiver = Receiver(loop)
    with pytest.raises(asyncio.InvalidStateError):
        receiver.result()
    context = contextvars.copy_context()
    for arguments, keywords in (
        ((), {}),
        ((print,), {}),
        ((print, print), {"context": context}),
        ((print,), {"context": None}),
        ((print,), {"context": context, "other": 1}),
    ):
        with pytest.raises(TypeError):
            receiver.add_done_callback(*arguments, **keywords)
    receiver.add_done_callback(print, context=context)
    with pytest.raises(TypeError, match="once"):
        receiver.add_done_callback(print, context=context)
    with pytest.raises(TypeError):
        Receiver()
    with pytest.raises(TypeError):
        receiver.cancel(1, 2)
    assert receiver._asyncio_future_blocking is False


async def test_nothing_is_left_of_it():
    class Message(str):
        pass

    message = Message("message")
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    await from_the_loop(receiver.resume, message)
    gone = weakref.ref(message), weakref.ref(task)
    del message, task, receiver
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


async def test_a_task_that_nobody_will_wake():
    """It refers to what it waits for, and that to it."""
    receiver = Receiver(asyncio.get_running_loop())
    task = await started(receiver)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # asyncio says that such a task is destroyed
    gone = weakref.ref(task)
    del task, receiver
    gc.collect()
    loop.set_exception_handler(None)
    assert gone() is None
