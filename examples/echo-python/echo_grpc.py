"""Game logic in Python over gRPC: each message goes back to its player as it came.

Serves strait.v1.GameLogic of proto/upstream.proto and the standard health service with
python3-grpcio and python3-protobuf; nothing but upstream_pb2 is generated.

    echo_grpc.py grpc://127.0.0.1:9000
    echo_grpc.py grpc+unix:///run/echo.sock
"""
import signal
import sys
import threading
from concurrent import futures

import grpc

import upstream_pb2 as pb
from echo import VERSION, answers

STREAMS = 64  # at once; each has a thread of its own


def attach(batches, context):
    """Answers one stream, batch by batch."""
    yield pb.LogicBatch(hello=pb.LogicHello(version=VERSION, name="echo-python-grpc"))
    for acked, batch in enumerate(batches, start=1):
        if acked == 1 and batch.hello.version != VERSION:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"not a gateway of version {VERSION}")
        *full, last = answers(batch.events)
        yield from full
        # What is answered and acknowledged in one batch cannot be lost in between;
        # the pong comes behind all commands.
        last.acked, last.pong = acked, batch.ping
        yield last


def check(_, context):
    return b"\x08\x01"  # HealthCheckResponse{status: SERVING}, whatever was asked for


def main():
    scheme, _, address = sys.argv[1].partition("://") if len(sys.argv) == 2 else ("", "", "")
    if scheme not in ("grpc", "grpc+unix") or not address:
        sys.exit(__doc__)
    server = grpc.server(futures.ThreadPoolExecutor(STREAMS), maximum_concurrent_rpcs=STREAMS)
    handlers = {
        "strait.v1.GameLogic": {"Attach": grpc.stream_stream_rpc_method_handler(
            attach, pb.GatewayBatch.FromString, pb.LogicBatch.SerializeToString)},
        "grpc.health.v1.Health": {"Check": grpc.unary_unary_rpc_method_handler(check)},
    }
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, methods) for service, methods in handlers.items()])
    try:
        port = server.add_insecure_port("unix:" + address if scheme == "grpc+unix" else address)
    except RuntimeError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    server.start()
    if scheme == "grpc":
        address = f"{address.rpartition(':')[0]}:{port}"
    print(f"listening on {scheme}://{address}", file=sys.stderr, flush=True)
    ending.wait()
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
