/** One invocation: list, read with a bounded number of workers, answer. */

import { readFileSync } from "node:fs";
import { Body, Total } from "./answer.mjs";
import { FetchError, told } from "./errors.mjs";
import { decode, MAX_CONCURRENCY } from "./event.mjs";
import { LEAN, maxConnections, NAMES, openStore } from "./store.mjs";

/** @typedef {import("./store.mjs").Store} Store */
/** @typedef {import("./event.mjs").Event} Event */

export const AUTO = 64; // what CONCURRENCY=auto, the default, means: 16 rounds of latency for 1,000 objects
const WARM_WITHIN = 2000; // milliseconds: Lambda ends INIT after 10 s
const MB_PER_VCPU = 1769; // docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

/**
 * What the function is deployed with.
 * @typedef {object} Settings
 * @property {number} concurrency objects read at a time, where an event does not say
 * @property {string} client
 * @property {number} memoryMB 0: not in Lambda
 * @property {string} bucket that events are expected to name; empty: any
 */

/**
 * Reads CONCURRENCY ("auto" or a number), CLIENT, BUCKET and Lambda's own AWS_LAMBDA_FUNCTION_MEMORY_SIZE.
 * @param {Record<string, string | undefined>} env
 * @returns {Settings}
 * @throws {Error} with the variable's name, value and what is allowed
 */
export function readSettings(env) {
  const number = (
    /** @type {string} */ name,
    /** @type {number} */ otherwise,
    /** @type {number} */ most,
    /** @type {string} */ allowed,
  ) => {
    const value = env[name] || "auto";
    if (value === "auto") return otherwise;
    const n = /^\d+$/.test(value) ? Number(value) : 0;
    if (n < 1 || n > most) throw new Error(`${name}=${JSON.stringify(value)}: must be ${allowed}`);
    return n;
  };
  const client = env.CLIENT || LEAN;
  if (!NAMES.includes(client)) throw new Error(`CLIENT=${JSON.stringify(client)}: must be one of ${NAMES.join(", ")}`);
  return {
    concurrency: number("CONCURRENCY", AUTO, MAX_CONCURRENCY, `auto or 1 to ${MAX_CONCURRENCY}`),
    client,
    memoryMB: number("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0, 1 << 20, "a number of MB"),
    bucket: env.BUCKET ?? "",
  };
}

/** Answers events, one at a time. One serves a process, with one client of each kind. */
export class Fetcher {
  #settings;
  /** @type {Map<string, Store>} */
  #stores = new Map();
  #cold = true;

  /** @param {Settings} settings */
  constructor(settings) {
    this.#settings = settings;
  }

  /**
   * Opens the client and, where the bucket is known, its connections. It is for INIT, where a small function has a whole
   * vCPU. What cannot be done ahead is done later: the first event will meet the same error, and name it.
   */
  async warm() {
    const store = await this.#open(this.#settings.client);
    if (!this.#settings.bucket) return;
    const late = new Promise((resolve) => setTimeout(resolve, WARM_WITHIN).unref());
    await Promise.race([store.warm(this.#settings.bucket, this.#settings.concurrency).catch(() => {}), late]);
  }

  /** @param {string} client */
  async #open(client) {
    const store = this.#stores.get(client) ?? (await openStore(client));
    this.#stores.set(client, store);
    return store;
  }

  /**
   * Answers one event, parsed from JSON.
   * @param {unknown} payload
   * @param {number} left milliseconds until Lambda ends the invocation
   * @throws {FetchError}
   */
  async handle(payload, left) {
    const started = performance.now();
    const cpu = process.cpuUsage();
    const cold = this.#cold;
    this.#cold = false;
    const event = decode(payload);
    const client = event.client ?? this.#settings.client;
    const concurrency = event.concurrency ?? this.#settings.concurrency;
    const store = await this.#open(client);
    const connections = store.connections;
    const job = new Job(event, store);
    const spent = performance.now() - started;
    await job.run(concurrency, left - spent - margin(left, this.#settings.memoryMB));
    const { total } = job;
    const { user, system } = process.cpuUsage(cpu);
    return {
      lang: "node",
      detail: client,
      result: total.result(event.find !== undefined),
      time: Math.round(performance.now() - started) / 1000,
      stats: {
        objects: total.objects,
        bytes: total.bytes,
        errors: total.errors,
        retries: total.retries,
        connections: store.connections - connections,
        list_ms: total.listMS,
        ttfb_p50_ms: total.firstByte.percentileMS(50, 1),
        ttfb_p99_ms: total.firstByte.percentileMS(99, 100), // under 100 it would be the maximum
        cpu_ms: (user + system) / 1000,
        max_rss_mb: maxRSS() / (1 << 20),
        digest: total.digest.toString(16).padStart(16, "0"),
        cold,
        concurrency,
        client,
      },
    };
  }
}

/** Everything that one event asks for. */
export class Job {
  total = new Total();
  #event;
  #store;
  #ending = new AbortController();
  /** @type {AsyncGenerator<string[], void>} */
  #pages;
  /** @type {Promise<IteratorResult<string[], void>>} is listed while the page before it is read: memory does not grow */
  #ahead;
  /** @type {string[]} */
  #page = [];
  #at = 0; // in the page
  #before = 0; // keys of the pages before it
  /** @type {Promise<boolean> | undefined} */
  #turning;

  /**
   * @param {Event} event
   * @param {Store} store
   */
  constructor(event, store) {
    this.#event = event;
    this.#store = store;
    this.#pages = this.#list();
    this.#ahead = this.#next();
  }

  /**
   * Lists and reads until all is read, an error ends it, or the limit in milliseconds is over.
   * @param {number} workers
   * @param {number} limit
   */
  async run(workers, limit) {
    const { total } = this;
    const timer = setTimeout(() => this.#ending.abort(this.#late()), Math.max(limit, 0));
    // The listing takes a connection, too.
    const working = Array.from({ length: Math.min(workers, maxConnections - 1) }, () => this.#work());
    const all = Promise.all(working.map((worker) => worker.catch((error) => this.#ending.abort(error))));
    // The end does not wait for a connection that is being opened, which would take longer than there is time.
    const { signal } = this.#ending;
    await Promise.race([all, new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }))]);
    clearTimeout(timer);
    signal.throwIfAborted();
    this.#ending.abort(); // nothing is left in flight
    if (total.failure && !this.#event.goesOn) {
      const { key, error } = total.failure;
      const count = `${total.errors} of ${total.listed} objects failed`;
      throw new FetchError("ObjectReadFailed", `${count}; first ${JSON.stringify(key)}: ${error.message}`);
    }
  }

  #late() {
    const { total } = this;
    const { bucket, folder } = this.#event;
    return new FetchError(
      "DeadlineNear",
      total.listed === 0
        ? `stopped just before the time limit: no page of s3://${bucket}/${folder} was listed; ` +
            "can the function reach S3 (in a VPC: through a gateway endpoint)?"
        : `stopped just before the time limit: ${total.objects} of at least ${total.listed} objects read; ` +
            "raise the timeout, the memory or the concurrency",
    );
  }

  async *#list() {
    const { bucket, folder, keys } = this.#event;
    if (keys) {
      yield keys;
      return;
    }
    try {
      yield* this.#store.pages(bucket, folder, this.#ending.signal);
    } catch (error) {
      const kept = error instanceof FetchError && (error.name === "NoSuchBucket" || error.name === "AccessDenied");
      throw kept ? error : new FetchError("ListFailed", told(error));
    }
  }

  /** Begins to list the next page. */
  #next() {
    const asked = performance.now();
    const page = this.#pages.next().finally(() => {
      this.total.listMS += performance.now() - asked;
    });
    page.catch(() => {}); // whoever turns to it will see the error
    return page;
  }

  /** Turns to the next page. @returns {Promise<boolean>} whether there is one */
  async #turn() {
    const { done, value } = await this.#ahead;
    this.#turning = undefined;
    if (done) return false;
    this.#ahead = this.#next();
    this.total.listed += value.length;
    this.#before += this.#page.length;
    this.#page = value;
    this.#at = 0;
    return true;
  }

  /** Is one worker. */
  async #work() {
    const { bucket, find } = this.#event;
    const { signal } = this.#ending;
    const body = new Body(find === undefined ? undefined : Buffer.from(find));
    while (!signal.aborted) {
      if (this.#at >= this.#page.length) {
        this.#turning ??= this.#turn();
        if (!(await this.#turning)) return;
        continue;
      }
      const index = this.#before + this.#at;
      const key = this.#page[this.#at++];
      const read = { attempts: 0, firstByteMS: 0 };
      try {
        await this.#store.get(bucket, key, body, read, signal);
        this.total.add(index, key, body, read.firstByteMS);
      } catch (error) {
        if (signal.aborted) return; // interrupted, not failed
        if (!(error instanceof FetchError) || error.name === "NoSuchBucket") throw error; // so will all the others
        this.total.fail(index, key, error);
      } finally {
        this.total.retries += Math.max(read.attempts - 1, 0);
      }
    }
  }
}

/**
 * How many milliseconds before the time limit to stop, so that an answer can still be sent: a tenth of what is left, at
 * most 1 s, but never less than winding up takes on this memory's share of a CPU (100 ms of CPU time, in 200 ms to
 * 1.5 s), nor more than half.
 * @param {number} left
 * @param {number} memoryMB
 */
export function margin(left, memoryMB) {
  const windUp = memoryMB ? Math.max(200, Math.min((100 * MB_PER_VCPU) / memoryMB, 1500)) : 200;
  return Math.min(Math.max(Math.min(left / 10, 1000), windUp), left / 2);
}

/** This process's peak of resident memory, in bytes. */
export function maxRSS() {
  const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"));
  return Number(peak?.[1] ?? 0) * 1024;
}
