package fanout;

/** At least one object could not be read whole. */
final class ObjectReadFailed extends FetchError {
  private static final long serialVersionUID = 1;

  ObjectReadFailed(String message) {
    super(message);
  }
}
