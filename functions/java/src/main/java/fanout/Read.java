package fanout;

/** How an object was, or was not, read. */
final class Read {
  int attempts;
  long firstByte; // nanoseconds from the last attempt's start to its first response byte
}
