/**
 * The client lean: HTTP/1.1 and Signature Version 4 on node:tls, and no more than reading whole objects needs.
 *
 * It reads general purpose buckets, with the credentials of the environment, and knows no proxies: for access points,
 * directory buckets and the rest, use the SDK.
 */

import { createHmac, hash } from "node:crypto";
import { lookup } from "node:dns/promises";
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import tls from "node:tls";
import { FetchError, named, told } from "./errors.mjs";
import { ATTEMPTS, backoff, maxConnections } from "./store.mjs";

/** @typedef {import("./store.mjs").Read} Read */
/** @typedef {{ reset(): void, write(chunk: Buffer): void }} Sink takes a body's bytes in order, and keeps no chunk */
/** @typedef {{ status: number, last: boolean, firstByte: number, text: string }} Response text: the body of an error */
/** @typedef {Generator<void, Response, Buffer>} Parser */

const SILENCE = 8000; // milliseconds without a byte after which a connection is given up
const KEEP_ADDRESSES = 10_000; // milliseconds
const MOST_TEXT = 16 << 20; // bytes of a listing's page: 1,000 keys of 1,024 bytes, escaped, are 3 MB
const EMPTY_SHA256 = hash("sha256", "");
const TRANSIENT = new Set(["InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"]);

/** A sink that keeps a listing, or what S3 says about an error. */
export class Text {
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;

  reset() {
    this.#chunks = [];
    this.#size = 0;
  }

  /** @param {Buffer} chunk */
  write(chunk) {
    this.#size += chunk.length;
    if (this.#size > MOST_TEXT) throw new Error(`a text of more than ${MOST_TEXT} bytes`);
    this.#chunks.push(Buffer.from(chunk));
  }

  toString() {
    return Buffer.concat(this.#chunks).toString();
  }
}

/**
 * Parses one response: give next() what the connection gives. Its body goes to sink, or, unless the status is 200,
 * into text. What comes in is not kept: it may be overwritten as soon as next() returns.
 * @param {Sink} sink
 * @returns {Parser}
 * @throws {FetchError} ShortBody amid a body; any other error is one of the head
 */
export function* parse(sink) {
  let data = yield;
  const firstByte = performance.now();
  let end = data.indexOf("\r\n\r\n");
  while (end < 0) {
    if (data.length > 1 << 16) throw new Error("a head of more than 64 KB");
    data = yield* more(data);
    end = data.indexOf("\r\n\r\n");
  }
  const head = data.toString("latin1", 0, end + 2);
  data = data.subarray(end + 4);
  const status = Number(/^HTTP\/1\.1 ([1-5]\d\d)[ \r]/.exec(head)?.[1]);
  if (!status) throw new Error(`not HTTP/1.1: ${JSON.stringify(head.slice(0, 20))}`);
  const text = new Text();
  const to = status === 200 ? sink : text;
  try {
    const length = /\r\ncontent-length: *(\d+) *\r\n/i.exec(head)?.[1];
    if (length) yield* parseSized(to, data, Number(length));
    else if (/\r\ntransfer-encoding: *chunked *\r\n/i.test(head)) yield* parseChunks(to, data);
    else throw new Error("a body without a length");
  } catch (error) {
    throw new FetchError("ShortBody", `body broke off: ${told(error)}`);
  }
  return { status, last: /\r\nconnection: *close *\r\n/i.test(head), firstByte, text: text.toString() };
}

/** @param {Buffer} data @returns {Generator<void, Buffer, Buffer>} */
function* more(data) {
  const kept = Buffer.from(data);
  return Buffer.concat([kept, yield]);
}

/** @param {Sink} sink @param {Buffer} data @param {number} left @returns {Generator<void, void, Buffer>} */
function* parseSized(sink, data, left) {
  while (left > 0) {
    left -= data.length;
    if (left < 0) throw new Error("more bytes than announced");
    sink.write(data);
    if (left > 0) data = yield;
  }
}

/** @param {Sink} sink @param {Buffer} data @returns {Generator<void, void, Buffer>} */
function* parseChunks(sink, data) {
  for (;;) {
    let end = data.indexOf("\r\n");
    while (end < 0) {
      if (data.length > 1 << 10) throw new Error("a chunk without a size");
      data = yield* more(data);
      end = data.indexOf("\r\n");
    }
    const line = data.toString("latin1", 0, end);
    const size = /^([0-9a-f]{1,7})([ \t]*;.*)?$/i.exec(line)?.[1];
    if (!size) throw new Error(`a chunk of size ${JSON.stringify(line.slice(0, 20))}`);
    const left = Number.parseInt(size, 16);
    data = data.subarray(end + 2);
    while (data.length < left + 2) data = yield* more(data);
    if (data.toString("latin1", left, left + 2) !== "\r\n")
      throw new Error("a chunk longer than its size, or a trailer");
    if (left === 0) return;
    sink.write(data.subarray(0, left));
    data = data.subarray(left + 2);
  }
}

/** Where every connection reads into: what is in it is used before another one reads. */
const INCOMING = Buffer.allocUnsafeSlow(1 << 16);

/** One connection, with one request at a time. */
export class Connection {
  closed = false;
  #socket;
  /** @type {Parser | undefined} */
  #parser;
  /** @type {(response: Response) => void} */
  #resolve = () => {};
  /** @type {(error: Error) => void} */
  #reject = () => {};
  #heard = 0; // performance.now() of the last byte, or of the request

  /**
   * Opens a connection. The socket hands over what it reads as it comes: a stream would allocate a buffer for each.
   * @param {Place} place
   * @param {string} address
   * @param {tls.SecureContext} secureContext
   * @returns {Promise<Connection>}
   */
  static open(place, address, secureContext) {
    /** @type {Connection} */
    let connection;
    const onread = {
      buffer: INCOMING,
      callback: (/** @type {number} */ n, /** @type {Buffer} */ buffer) => connection.#read(buffer.subarray(0, n)),
    };
    const to = { host: address, port: place.port, noDelay: true, onread };
    const named = net.isIP(place.host) ? {} : { servername: place.host };
    const socket = place.tls ? tls.connect({ ...to, ...named, secureContext }) : net.connect(to);
    connection = new Connection(socket);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => connection.fail(new Error(`no connection within ${SILENCE / 1000} s`)), SILENCE);
      connection.#reject = (error) => {
        clearTimeout(late);
        reject(error);
      };
      socket.once(place.tls ? "secureConnect" : "connect", () => {
        clearTimeout(late);
        resolve(connection);
      });
    });
  }

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.on("error", (error) => this.fail(error));
    socket.on("end", () => this.fail(new Error("closed by S3")));
    socket.on("close", () => this.fail(new Error("closed")));
  }

  /**
   * Sends a request; its response's body goes to sink. Whatever goes wrong, the connection is closed.
   * @param {string} request
   * @param {Sink} sink
   * @returns {Promise<Response>}
   */
  ask(request, sink) {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#parser = parse(sink);
      this.#parser.next();
      this.#heard = performance.now();
      this.#socket.write(request, "latin1");
    });
  }

  /** @param {Buffer} data @returns {boolean} to go on reading */
  #read(data) {
    this.#heard = performance.now();
    try {
      if (!this.#parser) throw new Error("nobody has asked");
      const { done, value } = this.#parser.next(data);
      if (done) {
        this.#parser = undefined;
        if (value.last) this.fail(new Error("the last response"));
        this.#resolve(value);
      }
    } catch (error) {
      this.fail(error);
    }
    return true;
  }

  /**
   * Ends the request in flight, and the connection.
   * @param {unknown} error
   */
  fail(error) {
    if (this.closed) return;
    this.closed = true;
    this.#socket.destroy();
    let told = error;
    try {
      this.#parser?.throw(error); // it knows whether this is amid a body
    } catch (better) {
      told = better;
    }
    this.#reject(/** @type {Error} */ (told));
  }

  /** Fails the request in flight if nothing has come for too long. @param {number} now */
  failIfSilent(now) {
    if (this.#parser && now - this.#heard > SILENCE) this.fail(new Error(`nothing came for ${SILENCE / 1000} s`));
  }
}

/** Signs GET requests without a body (Signature Version 4). */
export class Signer {
  #region;
  #keyID;
  #secret;
  #token;
  #second = 0;
  #stamp = "";
  #scope = "";
  #inner = Buffer.alloc(0);
  #outer = Buffer.alloc(0);

  /**
   * @param {string} region
   * @param {string} keyID
   * @param {string} secret
   * @param {string} [token] of a role's session
   */
  constructor(region, keyID, secret, token) {
    this.#region = region;
    this.#keyID = keyID;
    this.#secret = secret;
    this.#token = token ? `x-amz-security-token:${token}\n` : "";
  }

  /**
   * Gives the whole request; path and query are escaped, the query sorted.
   * @param {string} authority
   * @param {string} path
   * @param {string} [query]
   * @param {number} [at] in Unix milliseconds
   */
  sign(authority, path, query = "", at = Date.now()) {
    const second = Math.trunc(at / 1000);
    if (second !== this.#second) this.#tick(second);
    const names = `host;x-amz-content-sha256;x-amz-date${this.#token && ";x-amz-security-token"}`;
    const fields = `x-amz-content-sha256:${EMPTY_SHA256}\nx-amz-date:${this.#stamp}\n${this.#token}`;
    const canonical = `GET\n${path}\n${query}\nhost:${authority}\n${fields}\n${names}\n${EMPTY_SHA256}`;
    const text = `AWS4-HMAC-SHA256\n${this.#stamp}\n${this.#scope}\n${hash("sha256", canonical)}`;
    const lines =
      `GET ${path}${query && `?${query}`} HTTP/1.1\nHost: ${authority}\nUser-Agent: fanout\n${fields}` +
      `Authorization: AWS4-HMAC-SHA256 Credential=${this.#keyID}/${this.#scope}, SignedHeaders=${names}, ` +
      `Signature=${this.#mac(text)}\n\n`;
    return lines.replaceAll("\n", "\r\n");
  }

  /** HMAC-SHA256 with the day's key, by the one-shot hash: a quarter of createHmac's time. @param {string} text */
  #mac(text) {
    const inner = hash("sha256", Buffer.concat([this.#inner, Buffer.from(text)]), "buffer");
    return hash("sha256", Buffer.concat([this.#outer, inner]));
  }

  /** Moves on to another second, and on a new day to another key. @param {number} second */
  #tick(second) {
    this.#second = second;
    this.#stamp = `${new Date(second * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
    const scope = `${this.#stamp.slice(0, 8)}/${this.#region}/s3/aws4_request`;
    if (scope === this.#scope) return;
    this.#scope = scope;
    let key = Buffer.from(`AWS4${this.#secret}`);
    for (const part of scope.split("/")) key = createHmac("sha256", key).update(part).digest();
    const block = Buffer.concat([key, Buffer.alloc(64 - key.length)]);
    this.#inner = Buffer.from(block.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.from(block.map((byte) => byte ^ 0x5c));
  }
}

/** @param {string} text @returns {string} escaped as SigV4 wants it: every byte but the unreserved ones */
export const escapeAll = (text) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

/** @param {string} key @returns {string} escaped but for its slashes */
const escapeKey = (key) => (/^[\w./~-]*$/.test(key) ? key : escapeAll(key).replaceAll("%2F", "/"));

/**
 * Where a bucket is.
 * @typedef {object} Place
 * @property {boolean} tls
 * @property {string} host
 * @property {number} port
 * @property {string} authority
 * @property {string} path what comes before a key's slash
 */

/**
 * Finds a bucket at an endpoint: by its name in front of the host's if that is a label in a domain.
 * @param {string} bucket
 * @param {string} endpoint
 * @returns {Place}
 */
export function locate(bucket, endpoint) {
  if (bucket.startsWith("arn:") || /--.*-s3$/.test(bucket)) {
    const hint = "lean reads general purpose buckets by name; use client tuned";
    throw new FetchError("InvalidEvent", `event: s3_bucket_name ${bucket}: ${hint}`);
  }
  if (!/^https?:\/\/[^/]/.test(endpoint)) throw new Error(`endpoint ${endpoint}: must be http(s)://HOST[:PORT][/PATH]`);
  const url = new URL(endpoint);
  const base = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const inFront = /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket) && base !== "localhost" && !net.isIP(base);
  const host = inFront ? `${bucket}.${base}` : base;
  const path = url.pathname.replace(/\/+$/, "") + (inFront ? "" : `/${escapeAll(bucket)}`);
  const authority = (inFront ? host : url.hostname) + (url.port && `:${url.port}`); // a URL has no default port
  const isTLS = url.protocol === "https:";
  return { tls: isTLS, host, port: Number(url.port) || (isTLS ? 443 : 80), authority, path };
}

/** A client with its connections: see store.mjs. */
export class Lean {
  connections = 0;
  #endpoint;
  #signer;
  #context;
  /** @type {Map<string, Place>} by bucket */
  #places = new Map();
  /** @type {Map<Place, Connection[]>} */
  #idle = new Map();
  /** @type {Set<Connection>} in use */
  #busy = new Set();
  /** @type {Map<string, Promise<string[]>>} by host */
  #addresses = new Map();
  /** @type {AbortSignal | undefined} */
  #signal;

  /** @param {Record<string, string | undefined>} env the settings that Lambda and the SDKs use */
  constructor(env) {
    const region = env.AWS_REGION || env.AWS_DEFAULT_REGION;
    const { AWS_ACCESS_KEY_ID: keyID, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = env;
    if (!region || !keyID || !secret)
      throw new Error("AWS_REGION, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set");
    const domain = region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
    this.#endpoint = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || `https://s3.${region}.${domain}`;
    this.#signer = new Signer(region, keyID, secret, token);
    this.#context = tls.createSecureContext(env.AWS_CA_BUNDLE ? { ca: readFileSync(env.AWS_CA_BUNDLE) } : {});
    setInterval(() => {
      const now = performance.now();
      for (const connection of this.#busy) connection.failIfSilent(now);
    }, 1000).unref();
  }

  /** @type {import("./store.mjs").Store["warm"]} */
  async warm(bucket, connections) {
    const place = this.#locate(bucket);
    const wanted = Array.from({ length: Math.min(connections, maxConnections) }, () => this.#connect(place));
    for (const opened of await Promise.allSettled(wanted)) {
      if (opened.status === "fulfilled") this.#idle.get(place)?.push(opened.value);
    }
  }

  /** @type {import("./store.mjs").Store["pages"]} */
  async *pages(bucket, prefix, signal) {
    const place = this.#locate(bucket);
    const tried = `list s3://${bucket}/${prefix}`;
    const text = new Text();
    let token = "";
    do {
      const after = token && `continuation-token=${escapeAll(token)}&`;
      const query = `${after}encoding-type=url&list-type=2&prefix=${escapeAll(prefix)}`; // XML cannot carry every key
      await this.#read(tried, place, "/", query, text, { attempts: 0, firstByteMS: 0 }, signal);
      const page = text.toString();
      if (!page.includes("<EncodingType>url</EncodingType>")) {
        throw new FetchError("RequestFailed", `${tried}: not a listing with escaped keys`);
      }
      yield Array.from(page.matchAll(/<Key>([^<]+)<\/Key>/g), (found) => unescapeKey(found[1]));
      token = unescapeXML(/<NextContinuationToken>([^<]+)</.exec(page)?.[1] ?? "");
    } while (token);
  }

  /** @type {import("./store.mjs").Store["get"]} */
  async get(bucket, key, body, read, signal) {
    await this.#read(`get s3://${bucket}/${key}`, this.#locate(bucket), `/${escapeKey(key)}`, "", body, read, signal);
  }

  /**
   * Asks until there is an answer, later and later: that helps against a busy S3 and a broken line.
   * @param {string} tried
   * @param {Place} place
   * @param {string} path
   * @param {string} query
   * @param {Sink} sink
   * @param {Read} read
   * @param {AbortSignal} signal
   */
  async #read(tried, place, path, query, sink, read, signal) {
    for (;;) {
      if (read.attempts > 0) await sleep(backoff(read.attempts), undefined, { signal });
      sink.reset();
      read.attempts++;
      const started = performance.now();
      let error;
      try {
        const response = await this.#ask(place, place.path + path, query, sink, signal);
        if (response.status === 200) {
          read.firstByteMS = response.firstByte - started;
          return;
        }
        const code = /<Code>([A-Za-z0-9.]+)<\/Code>/.exec(response.text)?.[1] ?? `HTTP${response.status}`;
        error = named(code, `${tried}: ${code}`);
        if (response.status < 500 && response.status !== 429 && !TRANSIENT.has(code)) throw error;
      } catch (broken) {
        if (broken === error) throw error;
        const untrusted = /CERT|ALTNAME|SELF_SIGNED|ISSUER/.test(
          /** @type {NodeJS.ErrnoException} */ (broken).code ?? "",
        );
        error = new FetchError(
          broken instanceof FetchError ? broken.name : "RequestFailed",
          `${tried}: ${told(broken)}`,
        );
        if (untrusted) throw error;
      }
      if (signal.aborted || read.attempts >= ATTEMPTS) throw error;
    }
  }

  /**
   * @param {Place} place
   * @param {string} path
   * @param {string} query
   * @param {Sink} sink
   * @param {AbortSignal} signal
   */
  async #ask(place, path, query, sink, signal) {
    if (this.#signal !== signal) this.#heed(signal);
    const connection = this.#take(place) ?? (await this.#connect(place));
    if (signal.aborted) this.#idle.get(place)?.push(connection); // for the next invocation
    signal.throwIfAborted();
    this.#busy.add(connection);
    try {
      const response = await connection.ask(this.#signer.sign(place.authority, path, query), sink);
      if (!connection.closed) this.#idle.get(place)?.push(connection);
      return response;
    } finally {
      this.#busy.delete(connection);
    }
  }

  /** Has an invocation's end break off what is in flight. @param {AbortSignal} signal */
  #heed(signal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => {
      for (const connection of this.#busy) connection.fail(signal.reason);
    });
  }

  /** @param {string} bucket */
  #locate(bucket) {
    let place = this.#places.get(bucket);
    if (!place) {
      place = locate(bucket, this.#endpoint);
      this.#places.set(bucket, place);
      this.#idle.set(place, []);
    }
    return place;
  }

  /**
   * Takes an idle connection; where there is none, those to other places make room.
   * @param {Place} place
   */
  #take(place) {
    const idle = this.#idle.get(place) ?? [];
    for (let connection = idle.pop(); connection; connection = idle.pop()) {
      if (!connection.closed) return connection;
    }
    for (const others of this.#idle.values()) {
      for (const connection of others.splice(0)) connection.fail(new Error("to make room"));
    }
    return undefined;
  }

  /** @param {Place} place */
  async #connect(place) {
    const addresses = await this.#resolve(place.host); // S3 has several, to be used alike
    const address = addresses[Math.trunc(Math.random() * addresses.length)];
    const connection = await Connection.open(place, address, this.#context);
    this.connections++;
    return connection;
  }

  /** Asks for a host's addresses once for all who want them. @param {string} host */
  #resolve(host) {
    let found = this.#addresses.get(host);
    if (!found) {
      found = lookup(host, { all: true }).then((all) => all.map((entry) => entry.address));
      this.#addresses.set(host, found);
      const forget = () => this.#addresses.delete(host);
      found.then(() => setTimeout(forget, KEEP_ADDRESSES).unref(), forget);
    }
    return found;
  }
}

/** @param {string} text as a listing with encoding-type=url has a key */
const unescapeKey = (text) => (/[%+]/.test(text) ? decodeURIComponent(text.replaceAll("+", " ")) : text);

/** @type {Record<string, string>} */
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** @param {string} text */
const unescapeXML = (text) => text.replaceAll(/&(\w+);/g, (all, name) => ENTITIES[name] ?? all);
