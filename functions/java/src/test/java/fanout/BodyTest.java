package fanout;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BodyTest {
  private static void write(Body body, String text) {
    byte[] padded = ("<" + text + ">").getBytes(UTF_8); // what is around a chunk does not count
    body.write(padded, 1, padded.length - 2);
  }

  /** A needle is found wherever the borders between chunks go through it. */
  @ParameterizedTest
  @ValueSource(strings = {"needle", "n", "e-", "nee-need-needle-n"})
  void findsOverEveryBorder(String needle) {
    String text = "nee-need-needle-n";
    CRC32C crc = new CRC32C();
    crc.update(text.getBytes(UTF_8));
    Body body = new Body(needle.getBytes(UTF_8));
    for (int first = 0; first <= text.length(); first++) {
      for (int second = first; second <= text.length(); second++) {
        body.reset();
        write(body, text.substring(0, first));
        write(body, text.substring(first, second));
        write(body, text.substring(second));
        assertTrue(body.found(), needle + " at " + first + ", " + second);
        assertEquals(text.length(), body.size());
        assertEquals((int) crc.getValue(), body.crc());
      }
    }
    body.reset();
    text.chars().forEach(c -> write(body, Character.toString(c)));
    assertTrue(body.found(), "in single bytes");
  }

  @Test
  void findsNothingThatIsNotThere() {
    Body body = new Body("needle".getBytes(UTF_8));
    for (String chunk : new String[] {"nee", "", "edle", "needl", "nee", "dl"}) {
      write(body, chunk);
    }
    assertFalse(body.found());
    write(body, "e");
    assertTrue(body.found());
    body.reset();
    write(body, "need");
    body.reset();
    write(body, "le");
    assertFalse(body.found());
  }

  @Test
  void earliestInListOrderCounts() {
    Body found = new Body("x".getBytes(UTF_8));
    write(found, "x");
    Read read = new Read();
    read.attempts = 3;
    Total total = new Total();
    assertEquals("None", total.result(true));
    assertNull(total.failure());
    total.add(3, "c", found, read);
    total.add(1, "a", found, read);
    total.add(2, "b", found, read);
    total.fail(5, "later", read, new S3Error("get: SlowDown"));
    total.fail(4, "sooner", read, new S3Error("get: NoSuchKey"));
    assertEquals("a", total.result(true));
    assertEquals("3", total.result(false));
    assertEquals("\"sooner\": get: NoSuchKey", total.failure());
    assertEquals(10, total.retries());
    assertNotEquals(
        Total.fingerprint("a", 1) + Total.fingerprint("b", 2),
        Total.fingerprint("a", 2) + Total.fingerprint("b", 1));
  }

  @Test
  void percentiles() {
    Total total = new Total();
    assertNull(total.firstByteMs(50, 0));
    for (int ms = 1; ms <= 100; ms++) {
      Read read = new Read();
      read.firstByte = ms * 1_000_000L;
      total.add(ms, "k", new Body(null), read);
    }
    assertEquals(50, total.firstByteMs(50, 1), 50 * 0.032);
    assertEquals(99, total.firstByteMs(99, 100), 99 * 0.032);
    assertNull(total.firstByteMs(99, 101));
  }

  @ParameterizedTest
  @CsvSource({
    "300000, 1769, 1000", // a second at most
    "5000, 1769, 500", // a tenth
    "1500, 1769, 400", // what winding up takes
    "10000, 128, 1500", // on a small share: 200 ms of CPU, at most 1.5 s
    "1000, 128, 500", // half of it at most
    "0, 128, 0", // too late already
    "5000, 0, 500", // not in Lambda
  })
  void margins(long leftMs, int memoryMb, long want) {
    assertEquals(want, Handler.marginMs(leftMs, memoryMb));
  }
}
