/** Checksum, digest, search, latencies and totals. */

import assert from "node:assert/strict";
import test from "node:test";
import { Body, fingerprint, Latencies, Total } from "../fetch/answer.mjs";
import { crc32c } from "../fetch/crc32c.mjs";

test("the CRC-32C of RFC 3720, B.4", () => {
  const ascending = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
  assert.equal(crc32c(0, Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(0, Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(0, Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(0, ascending), 0x46dd794e);
  assert.equal(crc32c(0, ascending.toReversed()), 0x113fdb5c);
});

test("the CRC-32C of any piece at any place, in two parts", () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 37) & 255));
  const slow = (/** @type {Buffer} */ piece) => {
    let crc = 0;
    for (const byte of piece) crc = crc32c(crc, Buffer.from([byte])); // never a word
    return crc;
  };
  for (let from = 0; from < 5; from++) {
    for (let to = from; to <= bytes.length; to++) {
      const piece = bytes.subarray(from, to);
      const half = piece.length >> 1;
      assert.equal(crc32c(0, piece), slow(piece));
      assert.equal(crc32c(crc32c(0, piece.subarray(0, half)), piece.subarray(half)), slow(piece));
    }
  }
});

/** @param {[string, string][]} pairs */
const digest = (...pairs) =>
  BigInt.asUintN(
    64,
    pairs.reduce((sum, [key, body]) => sum + fingerprint(key, crc32c(0, Buffer.from(body))), 0n),
  );

test("the digest is Go's, and sees every difference", () => {
  const base = digest(["a", "1"], ["b", "2"]);
  assert.equal(base.toString(16), "c56e3bf98ebff87a"); // pinned: Go's tests have the same
  assert.equal(digest(["b", "2"], ["a", "1"]), base, "another order");
  for (const [what, other] of Object.entries({
    "bodies swapped": digest(["a", "2"], ["b", "1"]),
    "one missing": digest(["a", "1"]),
    "one twice": digest(["a", "1"], ["b", "2"], ["b", "2"]),
    "another key": digest(["a", "1"], ["c", "2"]),
    "another body": digest(["a", "1"], ["b", "3"]),
  })) {
    assert.notEqual(other, base, what);
  }
});

/** @type {[string, string, boolean][]} */
const SEARCHES = [
  ["xxMyMagicxx", "MyMagic", true],
  ["MyMagic", "MyMagic", true], // nothing else
  ["MyMagi", "MyMagic", false], // nearly
  ["MyMyMagic", "MyMagic", true], // a false start
  ["MyMagMagic", "MyMagic", false], // two halves that do not meet
  ["xxx", "y", false], // one byte: no tail is kept
  ["xxy", "y", true],
  ["", "y", false],
];

for (const [text, needle, found] of SEARCHES) {
  test(`search for ${needle} in ${text}, over every border between three chunks`, () => {
    const bytes = Buffer.from(text);
    const reused = Buffer.alloc(bytes.length); // as a connection's buffer is
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const body = new Body(Buffer.from(needle));
        for (const chunk of [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)]) {
          chunk.copy(reused);
          body.write(reused.subarray(0, chunk.length));
        }
        assert.deepEqual([body.found, body.size, body.crc], [found, bytes.length, crc32c(0, bytes)]);
      }
    }
  });
}

test("search byte by byte, and a body read again", () => {
  const body = new Body(Buffer.from("needle"));
  for (const byte of Buffer.from("xneedlneedlneedle".repeat(3))) body.write(Buffer.from([byte]));
  assert.equal(body.found, true);
  body.reset();
  body.write(Buffer.from("eedle"));
  assert.deepEqual([body.found, body.size], [false, 5]);
});

test("percentiles", () => {
  const latencies = new Latencies();
  for (let us = 1; us <= 100_000; us++) latencies.add(us / 1000); // uniform: 1 µs to 100 ms
  for (const [percent, want] of [
    [0, 0.001],
    [50, 50],
    [99, 99],
    [100, 100],
  ]) {
    const got = latencies.percentileMS(percent, 1) ?? Number.NaN;
    assert.ok(Math.abs(got / want - 1) < 0.032, `${percent}%: ${got} ms, want ${want}`);
  }
  latencies.add(1e12); // out of range: kept
  const few = new Latencies();
  assert.equal(few.percentileMS(50, 1), null); // nothing to tell
  few.add(0.0035);
  assert.equal(few.percentileMS(50, 1), 0.003);
  assert.equal(few.percentileMS(99, 100), null); // too few
});

test("first in list order, whatever came in first; nothing is dropped", () => {
  const total = new Total();
  assert.deepEqual([total.result(true), total.result(false)], ["None", "0"]);
  const body = new Body(Buffer.from("x"));
  body.write(Buffer.from("x"));
  for (const index of [9, 4, 5]) total.add(index, `k${index}`, body, 1);
  for (const index of [8, 3]) total.fail(index, `k${index}`, new Error("short"));
  assert.deepEqual([total.result(true), total.result(false)], ["k4", "3"]);
  assert.deepEqual([total.objects, total.bytes, total.errors, total.failure?.key], [3, 3, 2, "k3"]);
});
