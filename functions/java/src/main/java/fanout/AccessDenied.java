package fanout;

/** Refused: role, bucket policy or signature. */
final class AccessDenied extends FetchError {
  private static final long serialVersionUID = 1;

  AccessDenied(String message) {
    super(message);
  }
}
