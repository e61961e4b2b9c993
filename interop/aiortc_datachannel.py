"""Data channels on aiortc: DTLS, SCTP and DCEP over one plain UDP socket, without ICE. The other
half of data_channels.cpp, with the same command line; what a server does with a channel stands
there. Each side believes the other one by its certificate's fingerprint."""

import asyncio
import sys

from aiortc import RTCCertificate, RTCDataChannel, RTCSctpTransport
from aiortc.rtcdatachannel import RTCDataChannelParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcsctptransport import RTCSctpCapabilities
from OpenSSL import crypto


class Socket(asyncio.DatagramProtocol):
    """What aiortc takes for an ICE transport: datagrams to one peer and from it. "controlling" is
    the server of DTLS. A server's peer is whoever comes first."""

    def __init__(self, role, remote=None):
        self.role = role
        self.state = "completed"
        self.remote = remote
        self.came = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if self.remote is None:
            self.remote = address
        if address == self.remote:
            self.came.put_nowait(data)

    def error_received(self, error):
        print("socket:", error, file=sys.stderr)

    async def _recv(self):
        return await self.came.get()

    async def _send(self, data):
        connected = self.transport.get_extra_info("peername") is not None
        self.transport.sendto(data, None if connected else self.remote)


def identity(certificate, key):
    def load(function, path):
        with open(path, "rb") as file:
            return function(crypto.FILETYPE_PEM, file.read())

    return RTCCertificate(
        key=load(crypto.load_privatekey, key), cert=load(crypto.load_certificate, certificate)
    )


async def establish(socket, certificate, fingerprint):
    algorithm, value = fingerprint.split(" ")
    dtls = RTCDtlsTransport(socket, [certificate])
    sctp = RTCSctpTransport(dtls)
    await dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(algorithm, value)]))
    if dtls.state != "connected":
        raise RuntimeError("DTLS is " + dtls.state)
    return dtls, sctp


def terms(channel):
    """As Terms::text in data_channels.cpp."""

    def number(value):
        return "-" if value is None else str(value)

    return " ".join(
        [
            channel.label or "-",
            channel.protocol or "-",
            "ordered" if channel.ordered else "unordered",
            number(channel.maxRetransmits),
            number(channel.maxPacketLifeTime),
        ]
    )


def open_channel(sctp, text):
    label, protocol, order, retransmits, life_time = text.split(" ")

    def number(text):
        return None if text == "-" else int(text)

    return RTCDataChannel(
        sctp,
        RTCDataChannelParameters(
            label="" if label == "-" else label,
            protocol="" if protocol == "-" else protocol,
            ordered=order == "ordered",
            maxRetransmits=number(retransmits),
            maxPacketLifeTime=number(life_time),
        ),
    )


def echo(sctp, channel):
    def on_message(message):
        if message == "close":
            channel.close()
        elif isinstance(message, str) and message.startswith("open "):
            opened = open_channel(sctp, message[5:])
            opened.on("open", lambda: echo(sctp, opened))
        else:
            channel.send(message)

    channel.on("message", on_message)
    channel.send(terms(channel))


async def serve(host, port, certificate, fingerprint):
    loop = asyncio.get_running_loop()
    while True:
        transport, socket = await loop.create_datagram_endpoint(
            lambda: Socket("controlling"), local_addr=(host, port)
        )
        port = transport.get_extra_info("sockname")[1]
        print("listening", port, flush=True)
        _, sctp = await establish(socket, certificate, fingerprint)
        sctp.on("datachannel", lambda channel: echo(sctp, channel))
        await sctp.start(RTCSctpCapabilities(0), 5000)
        await asyncio.Future()


class Asked:
    """A channel of ours, and what comes on it."""

    def __init__(self, channel):
        self.channel = channel
        self.came = asyncio.Queue()
        self.opened = asyncio.Event()
        self.closed = asyncio.Event()
        channel.on("message", self.came.put_nowait)
        channel.on("open", self.opened.set)
        channel.on("close", self.closed.set)

    async def expect(self, wanted, what):
        message = await asyncio.wait_for(self.came.get(), 10)
        if type(message) is not type(wanted) or message != wanted:
            raise RuntimeError(f"{what}: wanted {wanted!r:.80}, got {message!r:.80}")

    async def ask(self, message):
        self.channel.send(message)
        await self.expect(message, f"{len(message)} of {type(message).__name__}")

    async def begin(self):
        await asyncio.wait_for(self.opened.wait(), 10)
        await self.expect(terms(self.channel), "terms")
        return self


def said(what):
    print("ok  ", what, flush=True)


def pattern(size):
    return bytes(i * 31 % 251 for i in range(size))


async def play(sctp):
    def ask(text):
        return Asked(open_channel(sctp, text))

    incoming = asyncio.Queue()
    # What it says comes with it: nobody else would hear it in time.
    sctp.on("datachannel", lambda channel: incoming.put_nowait(Asked(channel)))

    first = await ask("chat irc ordered - -").begin()
    said("label and protocol")

    for text in (
        "unordered p unordered - -",
        "retransmissions - ordered 3 -",
        "none - unordered 0 -",
        "lifetime - unordered - 1500",
    ):
        one = await ask(text).begin()
        await one.ask(text)
        await one.ask(pattern(20000))
    said("unordered, retransmissions, lifetime")

    for size in (0, 1, 1100, 1172, 1200, 16384, 65535, 65536, 262144):
        await first.ask(pattern(size))
    said("binary, 0 bytes to 256 KiB")
    for size in (0, 1, 1200, 65536, 262144):
        await first.ask("t" * size)
    said("text, 0 bytes to 256 KiB")

    many = [ask(f"channel{i} - ordered - -") for i in range(100)]
    for one in many:
        await one.begin()
    for i, one in enumerate(many):
        one.channel.send(f"channel{i}")
    for i, one in enumerate(many):
        await one.expect(f"channel{i}", "one of many")
    for one in many:
        one.channel.close()
    for one in many:
        await asyncio.wait_for(one.closed.wait(), 10)
    said("100 channels, closed here")

    other = await ask("closed-there - ordered - -").begin()
    other.channel.send("close")
    await asyncio.wait_for(other.closed.wait(), 10)
    again = await ask("again - ordered - -").begin()
    await again.ask("again")
    said("closed there, and its stream used again")

    words = "theirs them unordered 7 -"
    first.channel.send("open " + words)
    opened = await asyncio.wait_for(incoming.get(), 10)
    if terms(opened.channel) != words:
        raise RuntimeError("opened as " + terms(opened.channel))
    await opened.expect(words, "terms")
    await opened.ask(pattern(100000))
    opened.channel.close()
    await asyncio.wait_for(opened.closed.wait(), 10)
    said("a channel that the peer opens")


async def meet(host, port, certificate, fingerprint):
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_datagram_endpoint(
        lambda: Socket("controlled"), remote_addr=(host, port)
    )
    socket.remote = socket.transport.get_extra_info("peername")
    dtls, sctp = await establish(socket, certificate, fingerprint)
    await sctp.start(RTCSctpCapabilities(0), 5000)
    await play(sctp)
    await sctp.stop()
    await dtls.stop()


async def main():
    role, port, certificate, key, fingerprint, *rest = sys.argv[1:]
    host = rest[0] if rest else "127.0.0.1"
    run = serve if role == "server" else meet
    await run(host, int(port), identity(certificate, key), fingerprint)


try:
    asyncio.run(main())
except (RuntimeError, asyncio.TimeoutError, ConnectionError) as error:
    print("failed:", repr(error), file=sys.stderr)
    sys.exit(1)
