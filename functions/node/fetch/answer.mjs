/** What an invocation has read, and the answer made of it. */

import { crc32c } from "./crc32c.mjs";

const NOT_FOUND = "None"; // the result of a search that no object matched

/**
 * One object's share of the digest, which is their sum modulo 2^64: the order does not change it. The finalizer of
 * SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) ties a key to its body: a plain sum would not see two bodies swapped.
 * @param {string} key
 * @param {number} bodyCRC
 */
export function fingerprint(key, bodyCRC) {
  const u64 = (/** @type {bigint} */ x) => BigInt.asUintN(64, x);
  let x = (BigInt(crc32c(0, Buffer.from(key))) << 32n) | BigInt(bodyCRC);
  x = u64(x + 0x9e3779b97f4a7c15n);
  x = u64((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n);
  x = u64((x ^ (x >> 27n)) * 0x94d049bb133111ebn);
  return x ^ (x >> 31n);
}

/** The body being read, in chunks of any size, of which it keeps less than the needle's length. */
export class Body {
  size = 0;
  crc = 0;
  found = false;
  #needle;
  #tail = Buffer.alloc(0);

  /** @param {Buffer} [needle] undefined: only count */
  constructor(needle) {
    this.#needle = needle;
  }

  /** Forgets every byte: the body is read again from its start. */
  reset() {
    this.size = this.crc = 0;
    this.found = false;
    this.#tail = Buffer.alloc(0);
  }

  /** @param {Buffer} chunk not kept: it may be overwritten afterwards */
  write(chunk) {
    this.size += chunk.length;
    this.crc = crc32c(this.crc, chunk);
    const needle = this.#needle;
    if (!needle || this.found) return;
    const keep = needle.length - 1;
    const over = this.#tail.length > 0 ? Buffer.concat([this.#tail, chunk.subarray(0, keep)]) : undefined;
    this.found = chunk.includes(needle) || over?.includes(needle) === true;
    if (chunk.length >= keep) this.#tail = Buffer.from(chunk.subarray(chunk.length - keep));
    else this.#tail = Buffer.from((over ?? chunk).subarray(-keep));
  }
}

/** A histogram in constant memory. Its buckets are 1/32 of an octave of microseconds: off by at most 3.2%. */
export class Latencies {
  #count = 0;
  #buckets = new Uint32Array(40 * 32);

  /** @param {number} ms */
  add(ms) {
    const us = Math.max(Math.trunc(ms * 1000), 0);
    const exponent = us < 32 ? 0 : Math.floor(Math.log2(us)) - 5; // us / 2^exponent is 32 to 63, or less than 32
    const bucket = Math.min(exponent * 32 + Math.floor(us / 2 ** exponent), this.#buckets.length - 1);
    this.#buckets[bucket]++;
    this.#count++;
  }

  /**
   * @param {number} percent
   * @param {number} atLeast
   * @returns {number | null} the middle of the percentile's bucket in milliseconds; null under atLeast samples
   */
  percentileMS(percent, atLeast) {
    if (this.#count < atLeast) return null;
    let rank = Math.floor(((this.#count - 1) * percent) / 100);
    const bucket = this.#buckets.findIndex((n) => {
      rank -= n;
      return rank < 0;
    });
    if (bucket < 64) return bucket / 1000;
    return ((32 + (bucket % 32) + 0.5) * 2 ** (Math.floor(bucket / 32) - 1)) / 1000;
  }
}

/** What was read so far, and what was not. */
export class Total {
  listed = 0;
  objects = 0;
  bytes = 0;
  errors = 0;
  retries = 0; // GET attempts beyond the first of each object
  digest = 0n;
  listMS = 0; // spent waiting for pages
  firstByte = new Latencies();
  /** @type {{ index: number, key: string } | undefined} the earliest in list order */
  match;
  /** @type {{ index: number, key: string, error: Error } | undefined} the earliest in list order */
  failure;

  /**
   * Counts in an object that was read whole.
   * @param {number} index
   * @param {string} key
   * @param {Body} body
   * @param {number} firstByteMS
   */
  add(index, key, body, firstByteMS) {
    this.objects++;
    this.bytes += body.size;
    this.digest = BigInt.asUintN(64, this.digest + fingerprint(key, body.crc));
    this.firstByte.add(firstByteMS);
    if (body.found && !(this.match && this.match.index < index)) this.match = { index, key };
  }

  /**
   * Counts in an object that could not be read.
   * @param {number} index
   * @param {string} key
   * @param {Error} error
   */
  fail(index, key, error) {
    this.errors++;
    if (!(this.failure && this.failure.index < index)) this.failure = { index, key, error };
  }

  /** @param {boolean} searched @returns {string} the first matching key, "None", or the count of objects read */
  result(searched) {
    return searched ? (this.match?.key ?? NOT_FOUND) : String(this.objects);
  }
}
