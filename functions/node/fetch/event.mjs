/** The event: what an invocation is asked for. */

import { FetchError } from "./errors.mjs";

export const MAX_CONCURRENCY = 1024; // objects that one invocation reads at a time, at most
export const MAX_FIND_BYTES = 1024; // of the string to search for

/**
 * A checked event. What is undefined or empty is left to the function's own setting.
 * @typedef {object} Event
 * @property {string} bucket
 * @property {string} folder key prefix; empty: the whole bucket
 * @property {string} [find] undefined: count the objects
 * @property {number} [concurrency]
 * @property {string} [client]
 * @property {string[]} [keys] read these, in this order, instead of listing
 * @property {boolean} goesOn on_error is "continue": count what cannot be read
 */

/** @type {Record<string, (value: unknown) => boolean>} */
const FIELDS = {
  s3_bucket_name: isText,
  folder: isText,
  find: isText,
  concurrency: Number.isInteger,
  client: isText,
  keys: (value) => Array.isArray(value) && value.every(isText),
  on_error: isText,
};

/** @param {unknown} value @returns {boolean} a string that UTF-8 can say: half of a surrogate pair is none */
function isText(value) {
  return typeof value === "string" && value.isWellFormed();
}

/**
 * Checks one event, parsed from JSON; null is the same as left out.
 * @param {unknown} payload
 * @returns {Event}
 * @throws {FetchError} InvalidEvent: an unknown field, a missing bucket, a value out of range, two settings that
 *   contradict each other
 */
export function decode(payload) {
  const problem = problemOf(payload);
  if (problem) throw new FetchError("InvalidEvent", `event: ${problem}`);
  const { s3_bucket_name: bucket, folder, find, concurrency, client, keys, on_error } = /** @type {any} */ (payload);
  return {
    bucket,
    folder: folder ?? "",
    find: find ?? undefined,
    concurrency: concurrency ?? undefined,
    client: client || undefined,
    keys: keys ?? undefined,
    goesOn: on_error === "continue",
  };
}

/**
 * @param {unknown} payload
 * @returns {string | undefined}
 */
function problemOf(payload) {
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return "must be a JSON object";
  for (const [name, value] of Object.entries(payload)) {
    if (!Object.hasOwn(FIELDS, name)) return `unknown field ${JSON.stringify(name)}`;
    if (value !== null && !FIELDS[name](value))
      return `${name}: ${JSON.stringify(value).slice(0, 80)} is of the wrong type`;
  }
  const { s3_bucket_name: bucket, folder, find, concurrency, keys, on_error } = /** @type {any} */ (payload);
  if (!bucket) return "s3_bucket_name is missing";
  if (/[/ ]/.test(bucket) && !bucket.startsWith("arn:")) {
    return `s3_bucket_name ${JSON.stringify(bucket)}: a name or an access point's ARN, without a path`;
  }
  const bytes = Buffer.byteLength(find ?? "x");
  if (bytes < 1 || bytes > MAX_FIND_BYTES)
    return `find of ${bytes} bytes: must be 1 to ${MAX_FIND_BYTES}, or null to count`;
  if (concurrency < 1 || concurrency > MAX_CONCURRENCY) {
    if (concurrency !== null) return `concurrency ${concurrency}: must be 1 to ${MAX_CONCURRENCY}`;
  }
  if (!["fail", "continue", "", null, undefined].includes(on_error)) {
    return `on_error ${JSON.stringify(on_error)}: must be "fail" or "continue"`;
  }
  if (keys && folder) return "keys and folder are mutually exclusive";
  if (keys?.includes("")) return "keys contains an empty key";
  return undefined;
}
