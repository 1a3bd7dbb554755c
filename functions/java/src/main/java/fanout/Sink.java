package fanout;

import java.io.IOException;

/** Takes a body's bytes, in order. */
interface Sink {
  /** Forgets every byte: the body is read again from its start. */
  void reset();

  /** Takes the next bytes. */
  void write(byte[] from, int at, int length) throws IOException;
}
