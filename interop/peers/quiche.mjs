// hq-interop on quiche, by the bindings of @matrixai/quic. The environment is that of the adapters
// (common.sh).

import { randomFillSync } from "node:crypto";
import { lookup } from "node:dns/promises";
import { createWriteStream, readFileSync } from "node:fs";
import { Writable } from "node:stream";
import { QUICClient } from "@matrixai/quic";

const of = (name) => process.env[name] ?? "";

async function connect(url) {
    const { address, family } = await lookup(url.hostname);
    return await QUICClient.createQUICClient({
        host: address,
        port: Number(url.port || 443),
        serverName: url.hostname,
        localHost: family === 6 ? "::" : "0.0.0.0",
        crypto: { ops: { randomBytes: async (data) => { randomFillSync(new Uint8Array(data)); } } },
        config: {
            ca: readFileSync(`${of("CERTS")}/ca.pem`, "utf8"),
            verifyPeer: true,
            applicationProtos: ["hq-interop"],
            logKeys: of("SSLKEYLOGFILE"),
            maxIdleTimeout: 120_000,
        },
    }, { timer: 120_000 });
}

async function get(client, url) {
    const stream = client.connection.newStream("bidi");
    const writer = stream.writable.getWriter();
    await writer.write(new TextEncoder().encode(`GET ${url.pathname}\r\n`));
    await writer.close();
    const file = createWriteStream(`${of("DOWNLOADS")}${url.pathname}`);
    await stream.readable.pipeTo(Writable.toWeb(file));
}

// As many at a time as every server lets be open.
async function getAll(client, urls) {
    const waiting = [...urls];
    const work = async () => {
        for (let url; (url = waiting.shift());) await get(client, url);
    };
    await Promise.all(Array.from({ length: 50 }, work));
}

try {
    const urls = of("REQUESTS").split(" ").map((text) => new URL(text));
    const rounds = of("TESTCASE") === "multiconnect" ? urls.map((url) => [url]) : [urls];
    for (const round of rounds) {
        const client = await connect(round[0]);
        await getAll(client, round);
        await client.destroy({ force: true });
    }
    process.exit(0);
} catch (error) {
    console.error("failed:", error);
    process.exit(1);
}
