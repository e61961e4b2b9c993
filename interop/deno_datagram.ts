// QUIC datagrams (RFC 9221) on Deno, whose QUIC is quinn, under an ALPN of the application's own.
//
//   deno run -A --unstable-net deno_datagram.ts server PORT CERT KEY ALPN
//       Listens on 127.0.0.1 (PORT 0: any) and prints "listening PORT". Sends every datagram back.
//   deno run -A --unstable-net deno_datagram.ts client HOST PORT CA ALPN COUNT BYTES
//       Opens a stream, whose first word has to come back in a datagram, sends COUNT datagrams of
//       BYTES bytes, one after the other, and compares what comes back; one that does not come
//       within a second is sent again, five times at most. Prints "ok COUNT datagrams BYTES bytes";
//       exit code 1 and a reason else.
//
// raw_datagrams.cpp has the same command line: each plays against the other, in both roles. There a
// datagram belongs to a Carrier, which is why the client opens a stream; against itself Deno has
// the same to say.

// The same formula is in raw_datagrams.cpp.
function pattern(number: number, bytes: number): Uint8Array<ArrayBuffer> {
    const data = new Uint8Array(bytes);
    for (let i = 0; i < bytes; ++i) data[i] = (i * 31 + number * 17 + 7) & 0xff;
    return data;
}

async function serve(port: number, cert: string, key: string, alpn: string) {
    const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port });
    const listener = endpoint.listen({
        cert: await Deno.readTextFile(cert),
        key: await Deno.readTextFile(key),
        alpnProtocols: [alpn],
        maxConcurrentBidirectionalStreams: 100,
    });
    console.log(`listening ${endpoint.addr.port}`);
    for await (const incoming of listener) {
        serveConnection(incoming).catch((error) => console.error(`peer: ${error}`));
    }
}

async function serveConnection(incoming: Deno.QuicIncoming) {
    const connection = await incoming.accept(); // throws when the handshake fails
    serveStreams(connection).catch((error) => console.error(`streams: ${error}`));
    for (;;) await connection.sendDatagram(await connection.readDatagram());
}

async function serveStreams(connection: Deno.QuicConn) {
    for await (const stream of connection.incomingBidirectionalStreams) {
        (async () => {
            for await (const chunk of stream.readable) await connection.sendDatagram(chunk);
            await stream.writable.close();
        })().catch((error) => console.error(`stream: ${error}`));
    }
}

async function ask(
    host: string,
    port: number,
    ca: string,
    alpn: string,
    count: number,
    bytes: number,
) {
    const connection = await Deno.connectQuic({
        hostname: host,
        port,
        serverName: "localhost",
        caCerts: [await Deno.readTextFile(ca)],
        alpnProtocols: [alpn],
    });
    const arrived: Uint8Array[] = [];
    let wake = () => {};
    (async () => {
        for (;;) {
            arrived.push(await connection.readDatagram());
            wake();
        }
    })().catch(() => {}); // until the connection is closed
    const next = () =>
        new Promise<Uint8Array | undefined>((resolve) => {
            if (arrived.length > 0) return resolve(arrived.shift());
            const timer = setTimeout(() => resolve(undefined), 1000);
            wake = () => {
                clearTimeout(timer);
                wake = () => {};
                resolve(arrived.shift());
            };
        });

    const stream = await connection.createBidirectionalStream({ waitUntilAvailable: true });
    const writer = stream.writable.getWriter();
    await writer.write(pattern(count, 10));
    let answer = await next();
    if (answer === undefined) throw new Error("the first word does not come back");
    for (let number = 0; number < count; ++number) {
        const data = pattern(number, bytes);
        for (let tries = 0;; ++tries) {
            if (tries === 5) throw new Error(`number ${number} does not come`);
            await connection.sendDatagram(data);
            answer = await next();
            if (answer !== undefined) break;
        }
        if (answer.length !== bytes || answer.some((byte, i) => byte !== data[i])) {
            throw new Error(`number ${number} comes back otherwise`);
        }
    }
    connection.close({ closeCode: 0, reason: "" });
    await connection.closed;
    console.log(`ok ${count} datagrams ${bytes} bytes`);
}

const [role, ...rest] = Deno.args;
try {
    if (role === "server" && rest.length === 4) {
        await serve(Number(rest[0]), rest[1], rest[2], rest[3]);
    } else if (role === "client" && rest.length === 6) {
        const [host, port, ca, alpn, count, bytes] = rest;
        await ask(host, Number(port), ca, alpn, Number(count), Number(bytes));
        Deno.exit(0); // the endpoint would keep the process for its drain period
    } else {
        throw new Error("usage: server PORT CERT KEY ALPN | client HOST PORT CA ALPN COUNT BYTES");
    }
} catch (error) {
    console.error(`failed: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
}
