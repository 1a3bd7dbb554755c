package fanout;

/** S3's refusal under another name than the above, or what kept a request from being answered. */
final class S3Error extends FetchError {
  private static final long serialVersionUID = 1;

  S3Error(String message) {
    super(message);
  }
}
