package fanout;

/** The bucket does not exist. */
final class NoSuchBucket extends FetchError {
  private static final long serialVersionUID = 1;

  NoSuchBucket(String message) {
    super(message);
  }
}
