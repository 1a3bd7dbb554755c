/** HTTP, signatures, and what the client makes of an S3 that misbehaves. */

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import test from "node:test";
import { Body } from "../fetch/answer.mjs";
import { Connection, escapeAll, Lean, locate, parse, Signer, Text } from "../fetch/lean.mjs";
import { ATTEMPTS } from "../fetch/store.mjs";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n";
const BUSY = "HTTP/1.1 503 Slow Down\r\nContent-Length: 28\r\n\r\n<Error><Code>SlowDown</Code>";
const ENV = { AWS_REGION: "eu-west-1", AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret" };

/**
 * Parses what comes in pieces, each in the same buffer; then the connection is closed.
 * @param {Buffer[]} pieces
 */
function feed(pieces) {
  const text = new Text();
  const parser = parse(text);
  const reused = Buffer.alloc(1 << 17);
  parser.next();
  for (const piece of pieces) {
    piece.copy(reused);
    const { done, value } = parser.next(reused.subarray(0, piece.length));
    if (done) return { ...value, body: text.toString() };
  }
  parser.throw(new Error("closed"));
  return assert.fail("a parser that goes on after its end");
}

/** @type {Record<string, (wire: string) => Buffer[]>} */
const CUTS = {
  "at once": (wire) => [Buffer.from(wire)],
  "byte by byte": (wire) => Array.from(Buffer.from(wire), (byte) => Buffer.from([byte])),
};

/** @type {[string, string, string, boolean][]} */
const RESPONSES = [
  ["a length", OK, "hello", false],
  ["in capitals, and spaced", "HTTP/1.1 200 OK\r\nCONTENT-LENGTH:  2 \r\n\r\nhi", "hi", false],
  ["no bytes", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", false],
  ["chunks", CHUNKED, "hello", false],
  ["the last one", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", "x", true],
  ["another field's end", "HTTP/1.1 200 OK\r\nX-Content-Length: 9\r\nContent-Length: 1\r\n\r\nx", "x", false],
];

/** @type {[string, string, string][]} */
const BROKEN = [
  ["nothing", "", "Error"],
  ["not HTTP", "SSH-2.0-x\r\n\r\n", "Error"],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "Error"],
  ["no end of the head", `HTTP/1.1 200 OK\r\n${"x".repeat(66_000)}`, "Error"],
  ["no length", "HTTP/1.1 200 OK\r\n\r\nx", "ShortBody"],
  ["a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", "ShortBody"],
  ["short", OK.slice(0, -1), "ShortBody"],
  ["a chunk missing", CHUNKED.slice(0, -5), "ShortBody"],
  ["a negative chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n", "ShortBody"],
  ["a chunk longer than it says", CHUNKED.replace("2\r\nhe", "2\r\nhex"), "ShortBody"],
  ["an endless size", `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${"0".repeat(2000)}`, "ShortBody"],
];

for (const [how, cut] of Object.entries(CUTS)) {
  for (const [what, wire, body, last] of RESPONSES) {
    test(`a response, ${how}: ${what}`, () => {
      const got = feed(cut(wire));
      assert.deepEqual([got.status, got.body, got.last, got.text], [200, body, last, ""]);
    });
  }
  for (const [what, wire, name] of BROKEN) {
    test(`a broken response, ${how}: ${what}`, () => {
      assert.throws(() => feed(cut(wire)), { name });
    });
  }
}

test("more bytes than announced", () => {
  assert.throws(() => feed([Buffer.from(`${OK}x`)]), { name: "ShortBody", message: /more bytes/ });
});

test("an error is not a body", () => {
  const got = feed([Buffer.from(BUSY)]);
  assert.deepEqual([got.status, got.body, got.text], [503, "", "<Error><Code>SlowDown</Code>"]);
});

test("any bytes end in an answer or in an error: a fuzz test of a second", () => {
  let seed = 1;
  const random = (/** @type {number} */ below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return Math.floor((seed / 2 ** 32) * below);
  };
  for (let i = 0; i < 20_000; i++) {
    const wire = Buffer.from([OK, CHUNKED, BUSY][random(3)]);
    for (let changes = random(4); changes > 0; changes--) {
      const to = "\r\n:;0123456789abcfgx \0\xff";
      wire[random(wire.length)] = to.charCodeAt(random(to.length));
    }
    const at = random(wire.length + 1);
    try {
      feed([wire.subarray(0, at), wire.subarray(at)]);
    } catch (error) {
      assert.ok(
        error instanceof Error && /^(Error|ShortBody)$/.test(error.name),
        `${error} for ${JSON.stringify(wire.toString("latin1"))}`,
      );
    }
  }
});

test("signatures that AWS publishes: Authenticating Requests: Using the Authorization Header", () => {
  const signer = new Signer("us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  for (const [query, signature] of [
    ["lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"],
    ["max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"],
  ]) {
    const wire = signer.sign("examplebucket.s3.amazonaws.com", "/", query, 1369353600_500);
    assert.ok(wire.endsWith(`Signature=${signature}\r\n\r\n`), wire);
  }
});

test("the signing key is the day's", () => {
  const signer = new Signer("r", "id", "secret", "token");
  const before = signer.sign("h", "/", "", 1369353599_000);
  assert.match(before, /\/20130523\/r\/s3\//);
  assert.match(before, /\r\nx-amz-security-token:token\r\n/);
  assert.match(signer.sign("h", "/", "", 1369353600_000), /\/20130524\/r\/s3\//);
  assert.equal(signer.sign("h", "/", "", 1369353599_000), before);
});

test("escaping leaves the unreserved bytes alone", () => {
  const ascii = String.fromCharCode(...Array.from({ length: 128 }, (_, i) => i));
  assert.equal(
    escapeAll(ascii).replaceAll(/%[0-9A-F]{2}/g, ""),
    "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~",
  );
  assert.equal(decodeURIComponent(escapeAll(`${ascii}ü日`)), `${ascii}ü日`);
});

/** @type {[string, string, string, [boolean, string, number, string, string]][]} */
const PLACES = [
  [
    "AWS",
    "photos",
    "https://s3.r.amazonaws.com",
    [true, "photos.s3.r.amazonaws.com", 443, "photos.s3.r.amazonaws.com", ""],
  ],
  ["a dot does not fit the certificate", "my.photos", "https://s3.r.x", [true, "s3.r.x", 443, "s3.r.x", "/my.photos"]],
  ["an old name", "Photos_1", "https://s3.r.x", [true, "s3.r.x", 443, "s3.r.x", "/Photos_1"]],
  ["a name that is none", "a?b/..", "https://s3.r.x", [true, "s3.r.x", 443, "s3.r.x", "/a%3Fb%2F.."]],
  ["an address", "photos", "https://127.0.0.1:9000", [true, "127.0.0.1", 9000, "127.0.0.1:9000", "/photos"]],
  ["an IPv6 address", "photos", "https://[::1]", [true, "::1", 443, "[::1]", "/photos"]],
  ["localhost", "photos", "http://localhost:80/base/", [false, "localhost", 80, "localhost", "/base/photos"]],
  ["a port behind a name", "photos", "http://s3.x:81", [false, "photos.s3.x", 81, "photos.s3.x:81", ""]],
];

for (const [what, bucket, endpoint, want] of PLACES) {
  test(`a place: ${what}`, () => {
    const { tls, host, port, authority, path } = locate(bucket, endpoint);
    assert.deepEqual([tls, host, port, authority, path], want);
  });
}

test("places that lean does not know", () => {
  for (const bucket of ["arn:aws:s3:r:1:accesspoint/a", "photos--euw1-az3--x-s3"]) {
    assert.throws(() => locate(bucket, "https://s3.r.x"), { name: "InvalidEvent", message: /use client tuned/ });
  }
  assert.throws(() => locate("b", "ftp://x"), /must be http/);
});

test("settings that are missing", () => {
  for (const missing of Object.keys(ENV)) {
    assert.throws(() => new Lean({ ...ENV, [missing]: undefined }), new RegExp(missing));
  }
});

/**
 * Lets a client loose on an S3 that gives these answers, one a request; one that ends early ends the connection.
 * @template T
 * @param {string[]} answers
 * @param {(client: Lean, endpoint: string) => Promise<T>} use
 */
async function against(answers, use) {
  /** @type {string[]} */
  const asked = [];
  /** @type {Set<net.Socket>} */
  const sockets = new Set();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (request) => {
      asked.push(String(request).split(" ")[1]);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (/(hello|>|\r\n0\r\n\r\n)$/.test(answer)) socket.write(answer);
      else socket.end(answer);
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const endpoint = `http://127.0.0.1:${/** @type {net.AddressInfo} */ (server.address()).port}`;
  try {
    return { result: await use(new Lean({ ...ENV, AWS_ENDPOINT_URL_S3: endpoint }), endpoint), asked };
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

const forever = () => new AbortController().signal;

/** @type {[string, string[], number, number][]} */
const TRIED_AGAIN = [
  ["at once", [OK], 1, 1],
  ["busy", [BUSY, OK], 2, 1],
  ["closed without an answer", ["", OK], 2, 2],
  ["a body that breaks off", [OK.slice(0, -2), OK], 2, 2],
  ["not HTTP", ["nonsense\r\n\r\n", OK], 2, 2],
];

for (const [what, answers, attempts, connections] of TRIED_AGAIN) {
  test(`get tries again: ${what}`, async () => {
    const read = { attempts: 0, firstByteMS: 0 };
    const body = new Body();
    const { result, asked } = await against(answers, async (client) => {
      await client.get("bucket", "a/../ü +%", body, read, forever());
      return client.connections;
    });
    assert.deepEqual([read.attempts, body.size, result], [attempts, 5, connections]);
    assert.ok(read.firstByteMS > 0);
    assert.deepEqual(asked, Array(attempts).fill("/bucket/a/../%C3%BC%20%2B%25")); // no dot segment is taken out
  });
}

/** @param {string} code */
const refused = (code) => {
  const text = `<Error><Code>${code}</Code></Error>`;
  return `HTTP/1.1 404 No\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
};

/** @type {[string, string, number, number][]} */
const FAILURES = [
  [refused("NoSuchBucket"), "NoSuchBucket", 0, 1],
  [refused("NoSuchKey"), "NoSuchKey", 0, 1],
  [refused("ExpiredToken"), "AccessDenied", 0, 1],
  [BUSY, "SlowDown", ATTEMPTS - 1, ATTEMPTS],
  [OK.slice(0, -2), "ShortBody", ATTEMPTS - 1, ATTEMPTS],
  ["", "RequestFailed", ATTEMPTS - 1, ATTEMPTS],
];

for (const [answer, name, before, attempts] of FAILURES) {
  test(`get fails: ${name}`, async () => {
    await against([answer], async (client) => {
      const read = { attempts: before, firstByteMS: 0 }; // those before would only wait
      const getting = client.get("bucket", "key", new Body(), read, forever());
      await assert.rejects(getting, { name, message: /^get s3:\/\/bucket\/key: / });
      assert.equal(read.attempts, attempts);
    });
  });
}

test("an invocation's end breaks off what is in flight", async () => {
  const ending = new AbortController();
  await against(["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"], async (client) => {
    const getting = client.get("bucket", "key", new Body(), { attempts: 0, firstByteMS: 0 }, ending.signal);
    await new Promise((resolve) => setImmediate(resolve));
    ending.abort(new Error("over"));
    await assert.rejects(getting, /over/);
  });
});

test("silence ends a request", async () => {
  await against([OK], async (_, endpoint) => {
    const context = /** @type {any} */ (undefined); // there is no TLS
    const connection = await Connection.open(locate("bucket", endpoint), "127.0.0.1", context);
    connection.failIfSilent(performance.now() + 9000); // nobody has asked: it may stay
    assert.equal(connection.closed, false);
    const asking = connection.ask("", new Text());
    connection.failIfSilent(performance.now() + 7000);
    assert.equal(connection.closed, false);
    connection.failIfSilent(performance.now() + 9000);
    await assert.rejects(asking, /nothing came for 8 s/);
  });
});

/** @param {string} keys @param {string} token */
const listing = (keys, token) => {
  const contents = keys.split(" ").map((key) => `<Contents><Key>${key}</Key></Contents>`);
  const more = token && `<NextContinuationToken>${token}</NextContinuationToken>`;
  const text = `<ListBucketResult><EncodingType>url</EncodingType>${more}${contents.join("")}</ListBucketResult>`;
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
};

/** @param {Lean} client */
async function listAll(client) {
  const pages = [];
  for await (const page of client.pages("bucket", "a b/", forever())) pages.push(page);
  return pages;
}

test("pages", async () => {
  const answers = [listing("a+b %C3%BC%0A percent%2541", "t&amp;/="), listing("z", "")];
  const { result, asked } = await against(answers, listAll);
  assert.deepEqual(result, [["a b", "ü\n", "percent%41"], ["z"]]);
  const first = "/bucket/?encoding-type=url&list-type=2&prefix=a%20b%2F";
  assert.deepEqual(asked, [first, first.replace("?", "?continuation-token=t%26%2F%3D&")]);
});

test("a listing that does not escape", async () => {
  const plain = listing("a", "").replace("<EncodingType>url", "<EncodingType>xml");
  await assert.rejects(against([plain], listAll), { name: "RequestFailed", message: /escaped/ });
});
