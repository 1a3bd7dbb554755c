package fanout;

/** Listing failed for another reason. */
final class ListFailed extends FetchError {
  private static final long serialVersionUID = 1;

  ListFailed(String message) {
    super(message);
  }
}
