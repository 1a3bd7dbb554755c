package fanout;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** A client of S3. Its errors are FetchErrors. */
interface Store {
  /** The client of our own. */
  String LEAN = "lean";

  /** The SDK with a connection for each worker, and no checksums of responses. */
  String TUNED = "tuned";

  /** The SDK just as it comes. */
  String STOCK = "stock";

  List<String> NAMES = List.of(LEAN, TUNED, STOCK);

  /** At one object: with one in eleven failing, less than one object in a billion stays unread. */
  int ATTEMPTS = 10;

  /** Without a byte, after which a connection is given up. */
  int SILENCE_MS = 8000;

  /**
   * Makes the client of a name in NAMES. It opens no connection, and loads no class of another
   * client.
   */
  static Store open(String name, Map<String, String> env) {
    return name.equals(LEAN) ? new Lean(env) : new Sdk(env, name.equals(TUNED));
  }

  /** Reads from this bucket from now on. Nothing may be in flight. */
  void use(String bucket);

  /** Counts the connections opened so far. */
  long connections();

  /** Opens a connection ahead of the first request, if this client can. */
  void warm() throws IOException;

  /** Ends everything in flight whose thread is interrupted, too. */
  void cancel();

  /** Gives the keys under a prefix, page by page, in S3's order. */
  void list(String bucket, String prefix, Consumer<List<String>> pages);

  /** Writes one whole body, trying again where that can help. */
  void get(String bucket, String key, Sink body, Read read);
}
