package fanout;

import java.util.Set;

/**
 * What an invocation, or the read of one object, ends with. The class's name is what a caller can
 * act on; the message says what was tried, on what.
 */
abstract class FetchError extends RuntimeException {
  private static final long serialVersionUID = 1;

  private static final Set<String> DENIED =
      Set.of(
          "AccessDenied",
          "AllAccessDisabled",
          "ExpiredToken",
          "Forbidden",
          "InvalidAccessKeyId",
          "SignatureDoesNotMatch");

  FetchError(String message) {
    super(message, null, false, false);
  }

  /** Gives S3's error code its class. */
  static FetchError named(String code, String message) {
    if (code.equals("NoSuchBucket")) {
      return new NoSuchBucket(message);
    }
    return DENIED.contains(code) ? new AccessDenied(message) : new S3Error(message);
  }
}
