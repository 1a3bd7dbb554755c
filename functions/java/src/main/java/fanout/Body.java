package fanout;

import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * The body being read: its length, its CRC-32C, and whether it holds the needle. It takes chunks of
 * any size, and keeps less than the needle's length of them.
 */
final class Body implements Sink {
  private final byte[] needle;
  private final int[] skips;
  private final byte[] border; // the end of what came before, and the beginning of what comes
  private final CRC32C crc = new CRC32C();
  private int kept; // of border
  private long size;
  private boolean found;

  /** Searches for needle; null: only counts. */
  Body(byte[] needle) {
    this.needle = needle;
    border = needle == null ? null : new byte[2 * needle.length];
    skips = needle == null ? null : new int[256];
    if (needle != null) {
      Arrays.fill(skips, needle.length);
      for (int i = 0; i < needle.length - 1; i++) {
        skips[needle[i] & 0xff] = needle.length - 1 - i;
      }
    }
  }

  @Override
  public void reset() {
    crc.reset();
    kept = 0;
    size = 0;
    found = false;
  }

  @Override
  public void write(byte[] from, int at, int length) {
    size += length;
    crc.update(from, at, length);
    if (needle == null || found) {
      return;
    }
    int keep = needle.length - 1;
    int more = Math.min(keep, length);
    System.arraycopy(from, at, border, kept, more);
    found = contains(border, 0, kept + more) || contains(from, at, length);
    if (length >= keep) {
      System.arraycopy(from, at + length - keep, border, 0, keep);
      kept = keep;
    } else {
      int over = Math.max(kept + more - keep, 0);
      System.arraycopy(border, over, border, 0, kept + more - over);
      kept += more - over;
    }
  }

  /**
   * Searches as Horspool does: it looks at one byte in as many as the needle has, whatever the
   * compiler.
   */
  private boolean contains(byte[] in, int at, int length) {
    int last = needle.length - 1;
    for (int i = at + last, end = at + length; i < end; i += skips[in[i] & 0xff]) {
      if (in[i] == needle[last] && Arrays.equals(in, i - last, i, needle, 0, last)) {
        return true;
      }
    }
    return false;
  }

  long size() {
    return size;
  }

  int crc() {
    return (int) crc.getValue();
  }

  boolean found() {
    return found;
  }
}
