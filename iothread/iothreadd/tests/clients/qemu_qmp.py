"""Drives iothreadd with qemu.qmp: everything the README promises, as a stock client sees it."""

import asyncio
import sys

from qemu.qmp import ExecuteError, EventListener, QMPClient


async def holders(qmp):
    """The holders of each thread, by the thread's name."""
    threads = await qmp.execute('query-iothreads')
    return {thread['id']: thread['holders'] for thread in threads}


async def refused(qmp, command, arguments, error_class, text):
    """A command that must fail with this class and this text."""
    try:
        await qmp.execute(command, arguments)
    except ExecuteError as error:
        assert error.error_class == error_class, error.error_class
        assert str(error) == text, str(error)
    else:
        raise AssertionError(f'{command} {arguments} succeeded')


async def run(path):
    qmp = QMPClient('test')
    deleted = EventListener(names='DEVICE_DELETED')
    qmp.register_listener(deleted)
    await qmp.connect(path)

    assert await holders(qmp) == {'io0': [], 'io1': []}
    threads = await qmp.execute('query-iothreads')
    assert threads[0]['poll-max-ns'] == 32768, threads
    version = await qmp.execute('query-version')
    assert set(version) == {'qemu', 'package'}, version
    names = [command['name'] for command in await qmp.execute('query-commands')]
    assert 'query-iothreads' in names, names
    schema = await qmp.execute('query-qmp-schema')
    assert any(entity['name'] == 'query-iothreads' for entity in schema)

    await qmp.execute('object-add', {'qom-type': 'iothread', 'id': 'io2', 'poll-max-ns': 0})
    assert list(await holders(qmp)) == ['io0', 'io1', 'io2']
    for number in range(2):
        node = f'node{number}'
        await qmp.execute('blockdev-add',
                          {'driver': 'null-co', 'node-name': node, 'size': 1048576})
        await qmp.execute('device_add',
                          {'driver': 'virtio-blk-pci', 'id': f'disk{number}',
                           'drive': node, 'iothread': 'io2'})
    path_of = '/machine/peripheral/{}/virtio-backend'.format
    assert (await holders(qmp))['io2'] == [
        {'type': 'qom-object', 'qom-path': path_of('disk1')},
        {'type': 'qom-object', 'qom-path': path_of('disk0')},
    ]
    await refused(qmp, 'object-del', {'id': 'io2'}, 'GenericError',
                  "object 'io2' is in use, can not be deleted")

    await qmp.execute('device_del', {'id': 'disk1'})
    backend = await asyncio.wait_for(deleted.get(), 10)
    assert backend['data'] == {'path': path_of('disk1')}, backend
    device = await asyncio.wait_for(deleted.get(), 10)
    assert device['data'] == {'device': 'disk1', 'path': '/machine/peripheral/disk1'}, device
    assert len((await holders(qmp))['io2']) == 1
    await qmp.execute('device_del', {'id': 'disk0'})
    await asyncio.wait_for(deleted.get(), 10)
    await asyncio.wait_for(deleted.get(), 10)
    assert (await holders(qmp))['io2'] == []
    await qmp.execute('object-del', {'id': 'io2'})

    await qmp.execute('blockdev-add', {'driver': 'null-co', 'node-name': 'n0', 'size': 1048576})
    await qmp.execute('x-blockdev-set-iothread', {'node-name': 'n0', 'iothread': 'io1'})
    assert (await holders(qmp))['io1'] == [{'type': 'block-node', 'node-name': 'n0'}]
    await qmp.execute('x-blockdev-set-iothread', {'node-name': 'n0', 'iothread': None})
    assert (await holders(qmp))['io1'] == []

    await refused(qmp, 'no-such-command', {}, 'CommandNotFound',
                  'The command no-such-command has not been found')
    await refused(qmp, 'object-del', {'id': 'nope'}, 'GenericError', "object 'nope' not found")
    await refused(qmp, 'object-add', {'qom-type': 'iothread'}, 'GenericError',
                  "Parameter 'id' is missing")
    await refused(qmp, 'object-add', {'qom-type': 'iothread', 'id': 7}, 'GenericError',
                  "Invalid parameter type for 'id', expected: string")
    await refused(qmp, 'query-iothreads', {'id': 'x'}, 'GenericError',
                  "Parameter 'id' is unexpected")
    await refused(qmp, 'qom-get', {'path': '/objects/nope', 'property': 'x'}, 'DeviceNotFound',
                  "Device '/objects/nope' not found")
    text = await qmp.execute('human-monitor-command', {'command-line': 'info iothreads'})
    assert 'io0:\r\n' in text and '  holders=none\r\n' in text, repr(text)

    await qmp.disconnect()


asyncio.run(run(sys.argv[1]))
