/** What an event may say. */

import assert from "node:assert/strict";
import test from "node:test";
import { decode } from "../fetch/event.mjs";

const BUCKET = { s3_bucket_name: "b" };

/** @type {[string, object, object][]} */
const ACCEPTED = [
  ["the least there is", {}, {}],
  ["the published one", { folder: "small/", find: "x" }, { folder: "small/", find: "x" }],
  ["null is left out", { folder: null, find: null, keys: null, client: null, concurrency: null, on_error: null }, {}],
  ["the most workers", { concurrency: 1024 }, { concurrency: 1024 }],
  ["the longest string, in bytes", { find: "ü".repeat(512) }, { find: "ü".repeat(512) }],
  ["keys", { keys: ["b", "a", "b"] }, { keys: ["b", "a", "b"] }],
  ["no key", { keys: [], folder: "" }, { keys: [] }],
  ["an access point", { s3_bucket_name: "arn:aws:s3:r:1:a/b" }, { bucket: "arn:aws:s3:r:1:a/b" }],
  ["go on", { on_error: "continue" }, { goesOn: true }],
  ["end", { on_error: "fail" }, {}],
];

for (const [what, more, want] of ACCEPTED) {
  test(`accepted: ${what}`, () => {
    const nothing = { folder: "", find: undefined, concurrency: undefined, client: undefined, keys: undefined };
    assert.deepEqual(decode({ ...BUCKET, ...more }), { bucket: "b", goesOn: false, ...nothing, ...want });
  });
}

/** @type {[unknown, RegExp][]} */
const REFUSED = [
  [[], /must be a JSON object/],
  ["text", /must be a JSON object/],
  [7, /must be a JSON object/],
  [null, /must be a JSON object/],
  [{}, /s3_bucket_name is missing/],
  [{ s3_bucket_name: "" }, /s3_bucket_name is missing/],
  [{ s3_bucket_name: null }, /s3_bucket_name is missing/],
  [{ s3_bucket_name: 7 }, /s3_bucket_name: 7 is of the wrong type/],
  [{ s3_bucket_name: "b/path" }, /s3_bucket_name "b\/path": a name/],
  [{ ...BUCKET, buckets: 1 }, /unknown field "buckets"/],
  [{ ...BUCKET, constructor: 1 }, /unknown field "constructor"/], // which every object inherits
  [{ ...BUCKET, find: "" }, /find of 0 bytes/],
  [{ ...BUCKET, find: "x".repeat(1025) }, /find of 1025 bytes/],
  [{ ...BUCKET, find: "ü".repeat(513) }, /find of 1026 bytes/], // 513 characters
  [{ ...BUCKET, find: {} }, /find: {} is of the wrong type/],
  [{ ...BUCKET, find: "\udfff" }, /find: .* is of the wrong type/], // JSON can say it, UTF-8 cannot
  [{ ...BUCKET, concurrency: 0 }, /concurrency 0: must be 1 to 1024/],
  [{ ...BUCKET, concurrency: 1025 }, /concurrency 1025/],
  [{ ...BUCKET, concurrency: "64" }, /concurrency: "64" is of the wrong type/],
  [{ ...BUCKET, concurrency: 1.5 }, /concurrency: 1.5 is of the wrong type/],
  [{ ...BUCKET, on_error: "ignore" }, /on_error "ignore"/],
  [{ ...BUCKET, keys: [""] }, /empty key/],
  [{ ...BUCKET, keys: [7] }, /keys: \[7\] is of the wrong type/],
  [{ ...BUCKET, keys: "a" }, /keys: "a" is of the wrong type/],
  [{ ...BUCKET, keys: ["a"], folder: "p/" }, /mutually exclusive/],
];

for (const [payload, message] of REFUSED) {
  test(`refused: ${JSON.stringify(payload).slice(0, 60)}`, () => {
    assert.throws(() => decode(payload), { name: "InvalidEvent", message });
  });
}
