package fanout;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.security.cert.CertificateException;
import java.util.Random;
import javax.net.ssl.SSLHandshakeException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LeanTest {
  private static final String SIZED = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  private static final String CHUNKED =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhell\r\n1;x=y\r\no\r\n0\r\nX: y\r\n\r\n";

  /** A socket whose other side says this, so many bytes at a time. */
  private static final class Script extends Socket {
    private final InputStream said;
    private final int atATime;

    Script(String said, int atATime) {
      this.said = new ByteArrayInputStream(said.getBytes(UTF_8));
      this.atATime = atATime;
    }

    @Override
    public InputStream getInputStream() {
      return new InputStream() {
        @Override
        public int read() throws IOException {
          return said.read();
        }

        @Override
        public int read(byte[] to, int at, int length) throws IOException {
          return said.read(to, at, Math.min(atATime, length));
        }
      };
    }

    @Override
    public OutputStream getOutputStream() {
      return new ByteArrayOutputStream();
    }
  }

  private static Connection.Response ask(String said, int atATime, Sink sink) throws IOException {
    try (Script script = new Script(said, atATime);
        Connection connection = new Connection(script, script)) {
      return connection.ask(new byte[0], sink);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {SIZED, CHUNKED})
  void wholeHoweverItComes(String said) throws IOException {
    for (int atATime = 1; atATime <= said.length(); atATime++) {
      Text body = new Text();
      assertEquals(200, ask(said, atATime, body).status());
      assertEquals("hello", body.toString(), atATime + " bytes at a time");
    }
  }

  @Test
  void refusals() throws IOException {
    Text body = new Text();
    var response =
        ask("HTTP/1.1 503 Slow\r\nconnection: Close\r\ncontent-length:4\r\n\r\nbusy", 99, body);
    assertEquals(503, response.status());
    assertEquals("busy", response.text());
    assertEquals("", body.toString());
    assertTrue(response.last());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "", // nothing
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", // too short
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", // too long
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", // another version
        "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", // no status
        "HTTP/1.1 200 OK\r\n\r\n", // no length
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", // no number
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", // no chunk
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", // a chunk
        // longer than
        // its size
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", // no last chunk
      })
  void broken(String said) {
    assertThrows(IOException.class, () -> ask(said, 99, new Text()));
  }

  /** Whatever the bytes are, reading ends in a response or an IOException. */
  @Test
  void changedBytes() {
    Random random = new Random(1);
    int whole = 0;
    for (int i = 0; i < 5000; i++) {
      StringBuilder said = new StringBuilder(random.nextBoolean() ? SIZED : CHUNKED);
      for (int n = random.nextInt(4); n > 0; n--) {
        said.setCharAt(
            random.nextInt(said.length()),
            "\r\n:;0123456789abcfgx \0\u007f".charAt(random.nextInt(23)));
      }
      try {
        ask(said.toString(), 1 + random.nextInt(99), new Text());
        whole++;
      } catch (IOException refused) {
        assertTrue(whole < i + 1);
      }
    }
    assertTrue(whole > 1000 && whole < 5000, whole + " of 5000");
  }

  /** From "Authenticating Requests: Using the Authorization Header"; both are of 24 May 2013. */
  @ParameterizedTest
  @CsvSource({
    "lifecycle=, fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    "max-keys=2&prefix=J, 34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
  })
  void signaturesThatAwsPublishes(String query, String signature) {
    Signer signer =
        new Signer(
            "us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", null);
    String wire =
        new String(signer.sign("examplebucket.s3.amazonaws.com", "/", query, 1369353600), UTF_8);
    assertTrue(wire.endsWith("Signature=" + signature + "\r\n\r\n"), wire);
  }

  @ParameterizedTest
  @CsvSource({
    "photos, https://s3.eu-west-1.amazonaws.com, photos.s3.eu-west-1.amazonaws.com, ''",
    "my.photos, https://s3.amazonaws.com/, s3.amazonaws.com, /my.photos",
    "photos, https://127.0.0.1:9000, 127.0.0.1:9000, /photos",
    "photos, http://localhost:80/base/, localhost, /base/photos",
    "photos, http://[::1]:9000, [::1]:9000, /photos",
  })
  void places(String bucket, String endpoint, String authority, String path) {
    Lean.Place place = Lean.Place.of(bucket, endpoint);
    assertEquals(authority, place.authority());
    assertEquals(path, place.path());
  }

  /** JSSE throws one class for both; only the first is for good. */
  @Test
  void handshakes() {
    var refused = new SSLHandshakeException("PKIX path building failed");
    refused.initCause(new CertificateException("unable to find valid certification path"));
    assertTrue(Lean.untrusted(refused));
    var ended = new SSLHandshakeException("Remote host terminated the handshake");
    ended.initCause(new EOFException("SSL peer shut down incorrectly"));
    assertFalse(Lean.untrusted(ended));
  }

  @Test
  void escapes() {
    assertEquals("aZ09-._~%20%2F%2B%2A%25%C3%A9%0A", Lean.escape("aZ09-._~ /+*%é\n"));
  }
}
