package fanout;

import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/** What an invocation has read so far, and what not. Workers share one. */
final class Total {
  private static final int BUCKETS = 32 * 60;

  private final int[] firstBytes =
      new int[BUCKETS]; // 1/32 of an octave of microseconds: off by at most 3.2%
  private long objects;
  private long bytes;
  private long errors;
  private long retries;
  private long digest;
  private int matchIndex = Integer.MAX_VALUE;
  private String match;
  private int failureIndex = Integer.MAX_VALUE;
  private String failure;

  /** Counts in an object that was read whole; index is its place in list order. */
  synchronized void add(int index, String key, Body body, Read read) {
    objects++;
    bytes += body.size();
    digest += fingerprint(key, body.crc());
    retries += read.attempts - 1;
    firstBytes[bucket(read.firstByte / 1000)]++;
    if (body.found() && index < matchIndex) {
      matchIndex = index;
      match = key;
    }
  }

  /** Counts in an object that could not be read. */
  synchronized void fail(int index, String key, Read read, FetchError error) {
    errors++;
    retries += Math.max(read.attempts - 1, 0);
    if (index < failureIndex) {
      failureIndex = index;
      failure = "\"" + key + "\": " + error.getMessage();
    }
  }

  /**
   * Gives one object's share of the digest: a sum modulo 2^64, which does not depend on the order.
   * The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) ties a key to its body: a plain
   * sum would not see two bodies swapped.
   */
  static long fingerprint(String key, int bodyCrc) {
    CRC32C crc = new CRC32C();
    crc.update(key.getBytes(StandardCharsets.UTF_8));
    long x = (crc.getValue() << 32 | Integer.toUnsignedLong(bodyCrc)) + 0x9E3779B97F4A7C15L;
    x = (x ^ x >>> 30) * 0xBF58476D1CE4E5B9L;
    x = (x ^ x >>> 27) * 0x94D049BB133111EBL;
    return x ^ x >>> 31;
  }

  private static int bucket(long us) {
    int exponent =
        Math.max(
            58 - Long.numberOfLeadingZeros(us),
            0); // us >> exponent is 32 to 63, or less if it is 0
    return exponent * 32 + (int) (us >> exponent);
  }

  /** Gives the middle of the percentile's bucket in milliseconds; null under atLeast samples. */
  synchronized Double firstByteMs(int percent, int atLeast) {
    if (objects < Math.max(atLeast, 1)) {
      return null;
    }
    long rank = (objects - 1) * percent / 100;
    int bucket = 0;
    for (long seen = firstBytes[0]; seen <= rank; seen += firstBytes[bucket]) {
      bucket++;
    }
    return (bucket < 64 ? bucket : (32 + bucket % 32 + 0.5) * (1L << (bucket / 32 - 1))) / 1000;
  }

  /** Gives the first matching key in list order, "None", or the count of objects read. */
  synchronized String result(boolean searched) {
    return !searched ? Long.toString(objects) : match == null ? "None" : match;
  }

  synchronized String failure() {
    return failure;
  }

  synchronized long objects() {
    return objects;
  }

  synchronized long bytes() {
    return bytes;
  }

  synchronized long errors() {
    return errors;
  }

  synchronized long retries() {
    return retries;
  }

  synchronized String digest() {
    return String.format("%016x", digest);
  }
}
