/** S3 as the handler knows it, and the clients behind that by name. */

import { readFileSync } from "node:fs";
import { FetchError } from "./errors.mjs";

/** @typedef {import("./answer.mjs").Body} Body */

/**
 * How an object was, or was not, read.
 * @typedef {object} Read
 * @property {number} attempts
 * @property {number} firstByteMS from the last attempt's start to its first response byte
 */

/**
 * A client of S3. Its errors are FetchErrors; a signal's abort ends whatever is in flight.
 * @typedef {object} Store
 * @property {number} connections opened so far
 * @property {(bucket: string, connections: number) => Promise<void>} warm does ahead what the first requests would wait
 *   for, as far as this client can
 * @property {(bucket: string, prefix: string, signal: AbortSignal) => AsyncGenerator<string[], void>} pages gives the
 *   keys under a prefix, page by page, in S3's order
 * @property {(bucket: string, key: string, body: Body, read: Read, signal: AbortSignal) => Promise<void>} get writes one
 *   whole body, trying again where that can help; fails if it came short
 */

export const LEAN = "lean"; // our own, see lean.mjs
export const TUNED = "tuned"; // @aws-sdk/client-s3 with as many sockets as workers, and no response checksums
export const STOCK = "stock"; // the same just as it comes
export const NAMES = [LEAN, TUNED, STOCK];

export const ATTEMPTS = 10; // at one object: with one in eleven failing, less than one in a billion stays unread

/**
 * Makes the client of that name from the process's AWS configuration. It opens no connection.
 * @param {string} name
 * @returns {Promise<Store>}
 */
export async function openStore(name) {
  // One client a process: the other costs INIT nothing.
  if (name === LEAN) return new (await import("./lean.mjs")).Lean(process.env);
  if (name === TUNED || name === STOCK) return new (await import("./sdk.mjs")).SDK(name === TUNED);
  throw new FetchError("InvalidEvent", `client ${JSON.stringify(name)}: must be one of ${NAMES.join(", ")}`);
}

/** @param {number} attempts @returns {number} milliseconds to wait after them: up to 50, twice that, …, at most 2,000 */
export const backoff = (attempts) => Math.random() * Math.min(25 * 2 ** attempts, 2000);

/** How many connections this process may hold: its file descriptors, but for 64 or a quarter of them. */
export const maxConnections = (() => {
  const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
  const files = Math.min(Number(limit?.[1] ?? 1024), 1 << 16);
  return files - Math.min(64, Math.floor(files / 4));
})();
