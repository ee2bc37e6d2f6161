"""Sends the commands that come as lines of JSON on standard input with qemu.qmp, and prints each reply
and each event. Before that it passes real descriptors."""

import asyncio
import contextlib
import json
import os
import sys

from qemu.qmp import EventListener, ExecuteError, QMPClient


async def descriptors(qmp):
    """A pipe goes over and comes into a set; what is not supplied is refused."""
    for command, arguments in (('getfd', {'fdname': 'pipe'}),
                               ('add-fd', {'fdset-id': 7, 'opaque': 'a pipe'})):
        reader, writer = os.pipe()
        qmp.send_fd_scm(writer)
        await qmp.execute(command, arguments)
        os.close(reader)
        os.close(writer)
    sets = await qmp.execute('query-fdsets')
    assert sets[0]['fdset-id'] == 7 and sets[0]['fds'][0]['opaque'] == 'a pipe', sets
    await qmp.execute('remove-fd', {'fdset-id': 7})
    await qmp.execute('closefd', {'fdname': 'pipe'})


async def run(path):
    qmp = QMPClient('script')
    events = EventListener()
    qmp.register_listener(events)
    await qmp.connect(path)
    await descriptors(qmp)
    for line in sys.stdin:
        step = json.loads(line)
        try:
            reply = {'return': await qmp.execute(step['execute'], step.get('arguments'))}
        except ExecuteError as error:
            reply = {'error': {'class': error.error_class, 'desc': str(error)}}
        print(json.dumps(reply))
    while True:
        event = await asyncio.wait_for(events.get(), 30)
        print(json.dumps(dict(event)))
        if event['event'] == 'SHUTDOWN':
            break
    # The server has been told to end, and may be gone first.
    with contextlib.suppress(EOFError):
        await qmp.disconnect()


asyncio.run(run(sys.argv[1]))
