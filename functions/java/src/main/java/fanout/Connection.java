package fanout;

import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ProtocolException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** One connection of HTTP/1.1, with one request at a time. */
final class Connection implements Closeable {
  private static final int RECORD = 1 << 14; // bytes: a TLS record is no longer
  private static final int MAX_HEAD = 1 << 16;

  private final Socket below;
  private final InputStream in;
  private final OutputStream out;
  private byte[] buffer = new byte[RECORD];
  private int at;
  private int end;

  /** A body was begun and not read whole. */
  @SuppressWarnings("serial")
  static final class ShortBody extends IOException {
    ShortBody(IOException cause) {
      super("body broke off: " + cause.getMessage(), cause);
    }
  }

  /** A response whose body went to its sink if the status is 200, or else into text. */
  record Response(int status, long firstByte, boolean last, String text) {}

  /**
   * Talks over one socket, and ends it by the one below: TLS's own farewell could wait for whoever
   * reads.
   */
  Connection(Socket talking, Socket below) throws IOException {
    this.below = below;
    in = talking.getInputStream();
    out = talking.getOutputStream();
  }

  @Override
  public void close() throws IOException {
    below.close();
  }

  /**
   * Sends a request, and reads its response. After an IOException, the connection is of no more
   * use.
   */
  Response ask(byte[] request, Sink sink) throws IOException {
    out.write(request);
    at = 0;
    end = 0;
    fill();
    long firstByte = System.nanoTime();
    String head = head();
    if (!head.startsWith("HTTP/1.1 ") || head.length() < 12) {
      throw new ProtocolException("not HTTP/1.1");
    }
    int status = (int) number(head.substring(9, 12), 10);
    Text text = new Text();
    Sink to = status == 200 ? sink : text;
    String length = field(head, "content-length");
    try {
      if ("chunked".equalsIgnoreCase(field(head, "transfer-encoding"))) {
        readChunks(to);
      } else if (length != null) {
        read(to, number(length, 10));
      } else {
        throw new ProtocolException("a body without a length");
      }
    } catch (IOException broken) {
      throw new ShortBody(broken);
    }
    if (at != end) {
      throw new ProtocolException("more bytes than announced");
    }
    return new Response(
        status, firstByte, "close".equalsIgnoreCase(field(head, "connection")), text.toString());
  }

  /** Takes more bytes in, behind those that are there. */
  private void fill() throws IOException {
    if (at == end) {
      at = 0;
      end = 0;
    }
    int got = in.read(buffer, end, buffer.length - end);
    if (got <= 0) {
      throw new EOFException("closed by S3");
    }
    end += got;
  }

  private String head() throws IOException {
    for (int from = 0; ; fill()) {
      for (; from + 4 <= end; from++) {
        if (buffer[from] == '\r'
            && buffer[from + 1] == '\n'
            && buffer[from + 2] == '\r'
            && buffer[from + 3] == '\n') {
          at = from + 4;
          return new String(buffer, 0, from + 2, StandardCharsets.ISO_8859_1);
        }
      }
      if (end == buffer.length) {
        if (end >= MAX_HEAD) {
          throw new ProtocolException("a head of more than 64 KB");
        }
        buffer = Arrays.copyOf(buffer, MAX_HEAD);
      }
    }
  }

  /** Gives a field's value; null: there is none. */
  static String field(String head, String name) {
    for (int line = head.indexOf('\n') + 1;
        line > 0 && line < head.length();
        line = head.indexOf('\n', line) + 1) {
      int colon = line + name.length();
      if (colon < head.length()
          && head.charAt(colon) == ':'
          && head.regionMatches(true, line, name, 0, name.length())) {
        return head.substring(colon + 1, head.indexOf('\r', colon)).strip();
      }
    }
    return null;
  }

  private static long number(String digits, int radix) throws ProtocolException {
    try {
      long number = Long.parseLong(digits, radix);
      if (number >= 0 && digits.charAt(0) != '+') {
        return number;
      }
    } catch (NumberFormatException refused) {
      // told below
    }
    throw new ProtocolException("not a number: " + digits);
  }

  private void read(Sink to, long left) throws IOException {
    while (left > 0) {
      if (at == end) {
        fill();
      }
      int part = (int) Math.min(left, end - at);
      to.write(buffer, at, part);
      at += part;
      left -= part;
    }
  }

  private void readChunks(Sink to) throws IOException {
    for (long size = -1; size != 0; ) {
      String line = line();
      size = number(line.contains(";") ? line.substring(0, line.indexOf(';')).strip() : line, 16);
      read(to, size);
      if (size > 0 && !line().isEmpty()) {
        throw new ProtocolException("a chunk longer than its size");
      }
    }
    while (!line().isEmpty()) {} // trailers
  }

  private String line() throws IOException {
    StringBuilder line = new StringBuilder();
    while (true) {
      if (at == end) {
        fill();
      }
      char next = (char) (buffer[at++] & 0xff);
      if (next == '\n') {
        return line.toString().strip();
      }
      if (line.length() > 1024) {
        throw new ProtocolException("a chunk without a size");
      }
      line.append(next);
    }
  }
}
