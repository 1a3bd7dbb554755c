package fanout;

/** Stopped shortly before the function's time limit. */
final class DeadlineNear extends FetchError {
  private static final long serialVersionUID = 1;

  DeadlineNear(String message) {
    super(message);
  }
}
