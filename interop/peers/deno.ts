// hq-interop on Deno, whose QUIC is quinn. The environment is that of the adapters (common.sh).
//
//   deno run -A --unstable-net deno.ts client|server

const of = (name: string) => Deno.env.get(name) ?? "";
const alpn = "hq-interop";

async function serve() {
    const endpoint = new Deno.QuicEndpoint({ hostname: "::", port: Number(of("PORT")) });
    const listener = endpoint.listen({
        cert: await Deno.readTextFile(`${of("CERTS")}/cert.pem`),
        key: await Deno.readTextFile(`${of("CERTS")}/priv.key`),
        alpnProtocols: [alpn],
        maxConcurrentBidirectionalStreams: 1000,
    });
    for await (const incoming of listener) {
        serveConnection(incoming).catch((error) => console.error(`peer: ${error}`));
    }
}

async function serveConnection(incoming: Deno.QuicIncoming) {
    const connection = await incoming.accept();
    for await (const stream of connection.incomingBidirectionalStreams) {
        answer(stream).catch((error) => console.error(`stream: ${error}`));
    }
}

async function answer(stream: Deno.QuicBidirectionalStream) {
    const request = await new Response(stream.readable).text();
    const name = /^GET \/([a-z0-9]+)\r?\n?$/.exec(request)?.[1];
    if (!name) throw new Error(`no request: ${request}`);
    const file = await Deno.open(`${of("WWW")}/${name}`);
    await file.readable.pipeTo(stream.writable);
}

async function connect(url: URL) {
    return await Deno.connectQuic({
        hostname: url.hostname,
        port: Number(url.port || 443),
        serverName: url.hostname,
        caCerts: [await Deno.readTextFile(`${of("CERTS")}/ca.pem`)],
        alpnProtocols: [alpn],
    });
}

async function get(connection: Deno.QuicConn, url: URL) {
    const stream = await connection.createBidirectionalStream({ waitUntilAvailable: true });
    const writer = stream.writable.getWriter();
    await writer.write(new TextEncoder().encode(`GET ${url.pathname}\r\n`));
    await writer.close();
    const file = await Deno.create(`${of("DOWNLOADS")}${url.pathname}`);
    await stream.readable.pipeTo(file.writable);
}

async function ask() {
    const urls = of("REQUESTS").split(" ").map((text) => new URL(text));
    if (of("TESTCASE") === "multiconnect") {
        for (const url of urls) {
            const connection = await connect(url);
            await get(connection, url);
            connection.close({ closeCode: 0, reason: "" });
        }
        return;
    }
    const connection = await connect(urls[0]);
    await Promise.all(urls.map((url) => get(connection, url)));
    connection.close({ closeCode: 0, reason: "" });
}

try {
    if (Deno.args[0] === "server") await serve();
    else await ask();
    await new Promise((resolve) => setTimeout(resolve, 100)); // the close has to leave
    Deno.exit(0); // the endpoint would keep the process for its drain period
} catch (error) {
    console.error(`failed: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
}
