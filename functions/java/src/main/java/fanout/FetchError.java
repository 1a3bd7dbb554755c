package fanout;

/**
 * What an invocation, or the read of one object, ends with. The class's name is what a caller can
 * act on; the message says what was tried, on what.
 */
abstract class FetchError extends RuntimeException {
  private static final long serialVersionUID = 1;

  FetchError(String message) {
    super(message, null, false, false);
  }
}
