"""Game logic in Python: each message goes back to its player as it came.

Serves the link of proto/upstream.proto with the standard library and python3-protobuf:
a thread for each stream that a gateway opens, which answers batch by batch.

    echo.py link://127.0.0.1:9000
    echo.py link+unix:///run/echo.sock
"""
import contextlib
import os
import signal
import socket
import struct
import sys
import threading

from google.protobuf.message import DecodeError

import upstream_pb2 as pb

LENGTH = struct.Struct(">I")
MAX_BATCH = 4 << 20
VERSION = 1


def listen(url):
    """Returns the listening socket of a link URL; port 0 is any free one."""
    scheme, _, address = url.partition("://")
    if scheme == "link+unix" and address.startswith("/"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(address)  # left by a process that died
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen()
        return listener
    host, _, port = address.rpartition(":")
    if scheme != "link" or not port.isdecimal():
        sys.exit(f"{url!r}: it must be link://host:port or link+unix:///path")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family)


def read_batch(stream):
    """Returns the next batch, or None when the gateway has ended the stream."""
    head = stream.read(LENGTH.size)
    if not head:
        return None
    (size,) = LENGTH.unpack(head)
    if size > MAX_BATCH:
        raise ValueError(f"a batch of {size} bytes: the limit is {MAX_BATCH}")
    body = stream.read(size)
    if len(body) < size:
        raise EOFError("the stream ended inside a batch")
    return pb.GatewayBatch.FromString(body)


def encode(batch):
    body = batch.SerializeToString()
    return LENGTH.pack(len(body)) + body


def answers(events):
    """Yields the commands for a batch, in batches that cannot become too long."""
    answer, size = pb.LogicBatch(), 0
    for event in events:
        if event.WhichOneof("kind") != "message":
            continue  # an echo has no state that begins or ends with a session
        message = event.message
        size += len(message.payload) + 64
        if size > MAX_BATCH // 2 and answer.commands:
            yield answer
            answer, size = pb.LogicBatch(), len(message.payload) + 64
        send = answer.commands.add().send
        send.sessions.append(event.session)
        send.channel, send.delivery, send.payload = message.channel, message.delivery, message.payload
    yield answer


def serve(connection):
    """Answers one stream until it ends."""
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as stream:
        hello = pb.LogicBatch(hello=pb.LogicHello(version=VERSION, name="echo-python"))
        connection.sendall(encode(hello))
        batch, acked = read_batch(stream), 0
        if batch is None or batch.hello.version != VERSION:
            print(f"not a gateway of version {VERSION}", file=sys.stderr)
            return
        while batch is not None:
            acked += 1
            *full, last = answers(batch.events)
            # What is answered and acknowledged in one batch cannot be lost in between;
            # the pong comes behind all commands.
            last.acked, last.pong = acked, batch.ping
            connection.sendall(b"".join(map(encode, [*full, last])))
            batch = read_batch(stream)


def guarded(connection):
    try:
        serve(connection)
    except (OSError, EOFError, ValueError, struct.error, DecodeError) as error:
        print(f"stream lost: {error}", file=sys.stderr)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: sys.exit(0))
    with listen(sys.argv[1]) as listener:
        print("listening on", listener.getsockname(), file=sys.stderr, flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=guarded, args=[connection], daemon=True).start()


if __name__ == "__main__":
    main()
