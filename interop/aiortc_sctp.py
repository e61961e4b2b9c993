"""SCTP right over UDP (RFC 6951) on aiortc, without DTLS and data channels: the other half of
sctp_clear.cpp.

    aiortc_sctp.py server UDP_PORT SCTP_PORT
        Sends back what comes on a stream, for one association. Prints "listening".
    aiortc_sctp.py client HOST SCTP_PORT UDP_PORT STREAMS BYTES
        Sends ten messages of up to BYTES on each of STREAMS streams to an echo server, and compares
        what comes back. Prints "ok STREAMS streams"; else "failed: why" and exit 1.
"""

import asyncio
import sys

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities


class Udp(asyncio.DatagramProtocol):
    """What aiortc takes for a DTLS transport, and for the ICE transport below it: "controlling" is
    who begins the association."""

    def __init__(self, role, remote=None):
        self.role = role
        self.state = "connected"
        self.remote = remote
        self.transport = self
        self.association = None

    def connection_made(self, socket):
        self.socket = socket

    def datagram_received(self, data, address):
        if self.remote is None:  # whoever comes first, from whatever port of SCTP
            self.remote = address
            self.association._remote_port = int.from_bytes(data[0:2], "big")
        if address == self.remote and self.association:
            asyncio.ensure_future(self.association._handle_data(data))

    async def _send_data(self, data):
        self.socket.sendto(data, self.remote)

    def _register_data_receiver(self, association):
        self.association = association

    def _unregister_data_receiver(self, association):
        self.association = None


class Association(RTCSctpTransport):
    """Messages as they come, without what data channels make of them."""

    on_message = None

    async def _receive(self, stream, identifier, data):
        await self.on_message(stream, identifier, data)


async def open_udp(role, local, remote=None):
    loop = asyncio.get_running_loop()
    _, udp = await loop.create_datagram_endpoint(lambda: Udp(role, remote), local_addr=local)
    return udp


async def serve(udp_port, sctp_port):
    # What aiortc calls the server waits for INIT.
    udp = await open_udp("controlled", ("127.0.0.1", udp_port))
    association = Association(udp, sctp_port)

    async def on_message(stream, identifier, data):
        await association._send(stream, identifier, data)

    association.on_message = on_message
    await association.start(RTCSctpCapabilities(0), 0)
    print("listening", flush=True)
    await asyncio.Future()


async def meet(host, sctp_port, udp_port, streams, size):
    udp = await open_udp("controlling", ("127.0.0.1", 0), (host, udp_port))
    association = Association(udp, 5000)
    came = {}

    async def on_message(stream, _, data):
        came.setdefault(stream, asyncio.Queue()).put_nowait(data)

    association.on_message = on_message
    await association.start(RTCSctpCapabilities(0), sctp_port)
    for stream in range(0, 2 * streams, 2):
        came.setdefault(stream, asyncio.Queue())
        for i in range(1, 11):
            content = bytes([97 + i]) * (size * i // 10)
            await association._send(stream, 0, content)
            back = await asyncio.wait_for(came[stream].get(), 10)
            if back != content:
                raise RuntimeError(f"{len(content)} bytes came back as {len(back)}, or others")
    print("ok", streams, "streams", flush=True)


async def main():
    role, *words = sys.argv[1:]
    if role == "server":
        await serve(int(words[0]), int(words[1]))
    else:
        host, sctp_port, udp_port, streams, size = words
        await meet(host, int(sctp_port), int(udp_port), int(streams), int(size))


try:
    asyncio.run(main())
except (RuntimeError, asyncio.TimeoutError, ConnectionError) as error:
    print("failed:", repr(error), file=sys.stderr)
    sys.exit(1)
