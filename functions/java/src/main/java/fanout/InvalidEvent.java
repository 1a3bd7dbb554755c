package fanout;

/** The event is malformed, or a value is out of range. */
final class InvalidEvent extends FetchError {
  private static final long serialVersionUID = 1;

  InvalidEvent(String message) {
    super("event: " + message);
  }
}
