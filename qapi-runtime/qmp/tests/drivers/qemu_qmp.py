"""Takes the steps of the conformance kit with qemu.qmp. CONFORMANCE.md of `qmp` says what they are."""

import asyncio
import contextlib
import json
import logging
import sys

from qemu.qmp import ConnectError, EventListener, ExecInterruptedError, ExecuteError, QMPClient, Runstate, StateError

# A text that is told by its length.
MAX_TEXT = 1000


class Driven:
    """The client and its events."""

    def __init__(self):
        self.qmp = None
        self.events = None

    async def take(self, step):
        """Takes a step, and tells what came of it."""
        what, within = step['do'], step['within']
        if what == 'connect':
            return await self.connect(step['address'], within)
        if self.qmp is None:
            return {'outcome': 'lost'}
        if what == 'execute':
            return await self.execute(step, within)
        if what == 'execute-together':
            outcomes = await asyncio.gather(*(self.execute(it, within) for it in step['commands']))
            return {'outcome': 'together', 'outcomes': outcomes}
        if what == 'event':
            return await self.event(step['name'], within)
        return {'outcome': 'cannot'}

    async def connect(self, address, within):
        """Makes a new client, after closing the one that there may be."""
        qmp, self.qmp = self.qmp, None
        if qmp is not None:
            # Why it has ended was told.
            with contextlib.suppress(Exception):
                await qmp.disconnect()
        qmp, events = QMPClient('driver'), EventListener()
        qmp.register_listener(events)
        try:
            await asyncio.wait_for(qmp.connect(address), within)
        except asyncio.TimeoutError:
            return {'outcome': 'timeout'}
        except ConnectError as error:
            return {'outcome': 'refused', 'desc': str(error)}
        self.qmp, self.events = qmp, events
        return {'outcome': 'connected'}

    async def execute(self, command, within):
        """Executes a command."""
        try:
            call = self.qmp.execute(command['command'], command.get('arguments'))
            value = await asyncio.wait_for(call, within)
        except asyncio.TimeoutError:
            return {'outcome': 'timeout'}
        except ExecuteError as error:
            return {'outcome': 'error', 'class': error.error_class, 'desc': str(error)}
        except (ExecInterruptedError, StateError) as error:
            return {'outcome': 'lost', 'desc': str(error)}
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return {'outcome': 'returned', 'length': len(value)}
        return {'outcome': 'returned', 'value': value}

    async def event(self, name, within):
        """Waits for the next event of a name."""
        async def wait():
            while True:
                event = await self.events.get()
                if event['event'] == name:
                    return event
        try:
            event = await asyncio.wait_for(wait(), within)
        except asyncio.TimeoutError:
            is_there = self.qmp.runstate == Runstate.RUNNING
            return {'outcome': 'timeout' if is_there else 'lost'}
        return {'outcome': 'event', 'data': event.get('data', {})}


async def main():
    """Takes steps from standard input; meanwhile the client goes on."""
    # What goes wrong is told as an outcome.
    logging.getLogger('qemu.qmp').setLevel(logging.CRITICAL + 1)
    driven = Driven()
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await driven.take(json.loads(line))), flush=True)


asyncio.run(main())
