/** Settings, time limits, and how an invocation ends. */

import assert from "node:assert/strict";
import test from "node:test";
import { FetchError } from "../fetch/errors.mjs";
import { decode } from "../fetch/event.mjs";
import { AUTO, Job, margin, maxRSS, readSettings } from "../fetch/handler.mjs";
import { ATTEMPTS, backoff, openStore } from "../fetch/store.mjs";

test("settings", () => {
  const env = { CONCURRENCY: "7", CLIENT: "tuned", BUCKET: "b", AWS_LAMBDA_FUNCTION_MEMORY_SIZE: "128" };
  assert.deepEqual(readSettings(env), { concurrency: 7, client: "tuned", memoryMB: 128, bucket: "b" });
  for (const nothing of [{}, { CONCURRENCY: "auto" }, { CONCURRENCY: "", CLIENT: "" }]) {
    assert.deepEqual(readSettings(nothing), { concurrency: AUTO, client: "lean", memoryMB: 0, bucket: "" });
  }
  for (const [name, value] of [
    ["CONCURRENCY", "0"], // below the range
    ["CONCURRENCY", "1025"], // above it
    ["CONCURRENCY", "1e2"],
    ["CONCURRENCY", "many"],
    ["CLIENT", "aws-sdk-s3"], // another contender's
    ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0"],
  ]) {
    assert.throws(() => readSettings({ [name]: value }), new RegExp(`^Error: ${name}="${value}": must be `));
  }
});

test("how long before the time limit to stop", () => {
  for (const [left, memoryMB, want] of [
    [300_000, 1769, 1000], // a second at most
    [5000, 1769, 500], // a tenth
    [1500, 1769, 200], // what winding up takes
    [10_000, 128, 1382], // on a small share: 100 ms of CPU
    [1000, 128, 500], // half of it at most
    [0, 128, 0], // too late already
  ]) {
    assert.equal(Math.trunc(margin(left, memoryMB)), want, `${left} ms at ${memoryMB} MB`);
  }
});

test("backoff", () => {
  for (let attempts = 1; attempts < ATTEMPTS; attempts++) {
    const ms = backoff(attempts);
    assert.ok(ms >= 0 && ms <= Math.min(25 * 2 ** attempts, 2000));
  }
});

test("peak of memory", () => {
  assert.ok(maxRSS() > 1 << 20, "less than any process takes");
});

test("a client that there is not", async () => {
  await assert.rejects(openStore("nobody's"), { name: "InvalidEvent", message: /lean, tuned, stock/ });
});

/** @typedef {import("../fetch/store.mjs").Store} Store */

/**
 * Objects by key: their bytes, or the error that reading them gives.
 * @param {(string[] | Error)[]} pages
 * @param {Record<string, string | Error>} [objects]
 */
function fake(pages, objects = {}) {
  let now = 0;
  const store = {
    most: 0,
    connections: 0,
    async warm() {},
    /** @type {Store["pages"]} */
    async *pages(bucket, prefix) {
      assert.deepEqual([bucket, prefix], ["b", ""]);
      for (const page of pages) {
        if (page instanceof Error) throw page;
        yield page;
      }
    },
    /** @type {Store["get"]} */
    async get(_, key, body, read) {
      store.most = Math.max(store.most, ++now);
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve)); // others' turn
      now--;
      read.attempts = 2;
      body.reset();
      const outcome = objects[key] ?? "nothing";
      if (outcome instanceof Error) throw outcome;
      body.write(Buffer.from(outcome));
    },
  };
  return store;
}

/**
 * @param {Store} store
 * @param {object} [more] of the event
 * @param {number} [limit]
 */
async function run(store, more = {}, limit = 60_000) {
  const job = new Job(decode({ s3_bucket_name: "b", ...more }), store);
  await job.run(3, limit);
  return job.total;
}

test("first match in list order, over pages", async () => {
  const store = fake([["a", "b"], [], ["c", "d", "e"]], { d: "xx", c: "xx" });
  const total = await run(store, { find: "xx" });
  assert.deepEqual([total.result(true), total.objects, total.listed, total.retries], ["c", 5, 5, 5]);
  assert.equal(store.most, 3); // workers, and no more
});

test("keys are not listed", async () => {
  const total = await run(fake([new Error("listed")], { b: "x", a: "x" }), { keys: ["b", "a", "b"], find: "x" });
  assert.deepEqual([total.result(true), total.objects], ["b", 3]);
});

test("nothing to read", async () => {
  assert.equal((await run(fake([]))).result(false), "0");
  assert.equal((await run(fake([]), { find: "x" })).result(true), "None");
});

const [short, busy] = [new FetchError("ShortBody", "short"), new FetchError("SlowDown", "busy")];
const [gone, denied] = [new FetchError("NoSuchBucket", "gone"), new FetchError("AccessDenied", "no")];

/** @type {[(string[] | Error)[], Record<string, Error>, string, string][]} */
const FAILURES = [
  [[["a"], gone], {}, "NoSuchBucket", "gone"],
  [[denied], {}, "AccessDenied", "no"],
  [[["a"], busy], {}, "ListFailed", "busy"],
  [[["a", "b"]], { b: gone }, "NoSuchBucket", "gone"],
  [[["a", "b", "c"]], { c: short, b: busy }, "ObjectReadFailed", '2 of 3 objects failed; first "b": busy'],
  [[["a"]], { a: new RangeError("a bug") }, "RangeError", "a bug"], // never an answer
];

for (const [pages, objects, name, message] of FAILURES) {
  test(`a failure: ${message}`, async () => {
    await assert.rejects(run(fake(pages, objects)), { name, message });
  });
}

test("on_error: continue", async () => {
  const total = await run(fake([["a", "b"]], { a: short }), { on_error: "continue" });
  assert.deepEqual([total.result(false), total.errors], ["1", 1]);
});

/** @param {AbortSignal} signal @returns {Promise<never>} */
const aborted = (signal) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new FetchError("Aborted", "aborted"))));

test("the time limit", async () => {
  const slow = { ...fake([["a"]]), get: (/** @type {any[]} */ ...args) => aborted(args[4]) };
  await assert.rejects(run(slow, {}, 1), { name: "DeadlineNear", message: /0 of at least 1 objects read/ });
  // What is deaf to the signal, as a connection that is being opened, is not waited for.
  const deaf = { ...fake([["a"]]), get: () => /** @type {Promise<never>} */ (new Promise(() => {})) };
  await assert.rejects(run(deaf, {}, 1), { name: "DeadlineNear", message: /0 of at least 1 objects read/ });
  /** @type {Store["pages"]} */
  const pages = async function* (_bucket, _prefix, signal) {
    yield await aborted(signal);
  };
  await assert.rejects(run({ ...fake([]), pages }, {}, 1), {
    name: "DeadlineNear",
    message: /no page of s3:\/\/b\/ was listed/,
  });
});
