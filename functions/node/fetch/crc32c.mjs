/** CRC-32C, which Node.js has not: zlib.crc32 is another polynomial's. */

const SLICES = 16;
const NONE = new Int32Array(0);

// tables[256 * n + byte]: the CRC of a byte with n zeros after it.
const tables = new Int32Array(SLICES * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  tables[byte] = crc;
}
for (let at = 256; at < tables.length; at++) {
  const crc = tables[at - 256];
  tables[at] = (crc >>> 8) ^ tables[crc & 255];
}

/**
 * Continues the CRC-32C of a body with its next bytes; a body starts at 0.
 *
 * Slicing by 16 with loads of 32 bits: 25 µs for 25,000 bytes, where slicing by 8 took 38 and by 16 with loads of a
 * byte 33 (Node.js 24, one x86_64 machine).
 * @param {number} crc
 * @param {Uint8Array} bytes
 * @returns {number} unsigned
 */
export function crc32c(crc, bytes) {
  const t = tables;
  let c = ~crc;
  let at = 0;
  const aligned = Math.min(-bytes.byteOffset & 3, bytes.length);
  while (at < aligned) c = (c >>> 8) ^ t[(c ^ bytes[at++]) & 255];
  const whole = ((bytes.length - at) >>> 2) & ~3; // words, four at a time
  const w = whole > 0 ? new Int32Array(bytes.buffer, bytes.byteOffset + at, whole) : NONE;
  for (let i = 0; i < whole; i += 4) {
    const w0 = c ^ w[i];
    const w1 = w[i + 1];
    const w2 = w[i + 2];
    const w3 = w[i + 3];
    // biome-ignore format: a line for each word
    c =
      t[0xf00 + (w0 & 255)] ^ t[0xe00 + ((w0 >>> 8) & 255)] ^ t[0xd00 + ((w0 >>> 16) & 255)] ^ t[0xc00 + (w0 >>> 24)] ^
      t[0xb00 + (w1 & 255)] ^ t[0xa00 + ((w1 >>> 8) & 255)] ^ t[0x900 + ((w1 >>> 16) & 255)] ^ t[0x800 + (w1 >>> 24)] ^
      t[0x700 + (w2 & 255)] ^ t[0x600 + ((w2 >>> 8) & 255)] ^ t[0x500 + ((w2 >>> 16) & 255)] ^ t[0x400 + (w2 >>> 24)] ^
      t[0x300 + (w3 & 255)] ^ t[0x200 + ((w3 >>> 8) & 255)] ^ t[0x100 + ((w3 >>> 16) & 255)] ^ t[w3 >>> 24];
  }
  for (at += whole * 4; at < bytes.length; at++) c = (c >>> 8) ^ t[(c ^ bytes[at]) & 255];
  return ~c >>> 0;
}
