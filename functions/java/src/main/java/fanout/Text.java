package fanout;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** A sink that keeps a listing, or what S3 says about an error. */
final class Text implements Sink {
  private static final int MAX = 16 << 20; // bytes: 1,000 keys of 1,024 bytes, escaped, are 3 MB

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(0);

  @Override
  public void reset() {
    bytes.reset();
  }

  @Override
  public void write(byte[] from, int at, int length) throws IOException {
    bytes.write(from, at, length);
    if (bytes.size() > MAX) {
      throw new IOException("a text of more than 16 MB");
    }
  }

  @Override
  public String toString() {
    return bytes.toString(StandardCharsets.UTF_8);
  }
}
