// A raw QUIC echo on Deno, whose QUIC is quinn: streams of an ALPN without any framing.
//
//   deno run -A --unstable-net deno_echo.ts server PORT CERT KEY ALPN
//       Listens on 127.0.0.1 (PORT 0: any) and prints "listening PORT". Sends every bidirectional
//       stream back and ends it when the peer ends it.
//   deno run -A --unstable-net deno_echo.ts client HOST PORT CA ALPN STREAMS BYTES
//       Opens STREAMS bidirectional streams on one connection, sends BYTES on each, and compares
//       what comes back. Prints "ok STREAMS streams BYTES bytes"; exit code 1 and a reason else.
//
// raw_echo.cpp has the same command line: each plays against the other, in both roles.

// Byte i of stream s; the same formula is in raw_echo.cpp, so that a mixed-up stream shows.
function pattern(stream: number, begin: number, size: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(size);
    for (let i = 0; i < size; ++i) bytes[i] = ((begin + i) * 31 + stream * 17 + 7) & 0xff;
    return bytes;
}

async function serve(port: number, cert: string, key: string, alpn: string) {
    const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port });
    const listener = endpoint.listen({
        cert: await Deno.readTextFile(cert),
        key: await Deno.readTextFile(key),
        alpnProtocols: [alpn],
        maxConcurrentBidirectionalStreams: 1000,
    });
    console.log(`listening ${endpoint.addr.port}`);
    for await (const incoming of listener) {
        serveConnection(incoming).catch((error) => console.error(`peer: ${error}`));
    }
}

async function serveConnection(incoming: Deno.QuicIncoming) {
    const connection = await incoming.accept(); // throws when the handshake fails
    let streams = 0;
    for await (const stream of connection.incomingBidirectionalStreams) {
        ++streams;
        stream.readable.pipeTo(stream.writable).catch((error) => console.error(`stream: ${error}`));
    }
    console.error(`connection over, ${streams} streams`);
}

// Sends in pieces of odd size, so that they do not fall together with packets or buffers.
async function send(stream: Deno.QuicBidirectionalStream, number: number, bytes: number) {
    const writer = stream.writable.getWriter();
    const piece = 50_021;
    for (let sent = 0; sent < bytes; sent += piece) {
        await writer.write(pattern(number, sent, Math.min(piece, bytes - sent)));
    }
    await writer.close();
}

async function compare(stream: Deno.QuicBidirectionalStream, number: number, bytes: number) {
    let got = 0;
    for await (const chunk of stream.readable) {
        const expected = pattern(number, got, chunk.length);
        for (let i = 0; i < chunk.length; ++i) {
            if (chunk[i] !== expected[i]) {
                throw new Error(`stream ${number}: byte ${got + i} is ${chunk[i]}`);
            }
        }
        got += chunk.length;
    }
    if (got !== bytes) throw new Error(`stream ${number}: ${got} bytes of ${bytes} came back`);
}

async function ask(
    host: string,
    port: number,
    ca: string,
    alpn: string,
    streams: number,
    bytes: number,
) {
    const connection = await Deno.connectQuic({
        hostname: host,
        port,
        serverName: "localhost",
        caCerts: [await Deno.readTextFile(ca)],
        alpnProtocols: [alpn],
    });
    if (connection.protocol !== alpn) throw new Error(`the ALPN is ${connection.protocol}`);
    const all = [];
    for (let number = 0; number < streams; ++number) {
        const stream = await connection.createBidirectionalStream({ waitUntilAvailable: true });
        all.push(send(stream, number, bytes), compare(stream, number, bytes));
    }
    await Promise.all(all);
    connection.close({ closeCode: 0, reason: "" });
    await connection.closed;
    console.log(`ok ${streams} streams ${bytes} bytes`);
}

const [role, ...rest] = Deno.args;
try {
    if (role === "server" && rest.length === 4) {
        await serve(Number(rest[0]), rest[1], rest[2], rest[3]);
    } else if (role === "client" && rest.length === 6) {
        const [host, port, ca, alpn, streams, bytes] = rest;
        await ask(host, Number(port), ca, alpn, Number(streams), Number(bytes));
        Deno.exit(0); // the endpoint would keep the process for its drain period
    } else {
        throw new Error(
            "usage: server PORT CERT KEY ALPN | client HOST PORT CA ALPN STREAMS BYTES",
        );
    }
} catch (error) {
    console.error(`failed: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
}
