package fanout;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A checked event. What is null is left to the function's own setting.
 *
 * @param bucket the bucket to read
 * @param folder key prefix; empty: the whole bucket
 * @param find string to search for; null: count the objects
 * @param client the name of the client to read with
 * @param keys read these, in this order, instead of listing
 * @param goOn on_error is "continue": count what cannot be read
 */
record Event(
    String bucket,
    String folder,
    String find,
    Integer concurrency,
    String client,
    List<String> keys,
    boolean goOn) {
  /** Objects that one invocation reads at a time, at most. */
  static final int MAX_CONCURRENCY = 1024;

  /** Bytes of the string to search for, at most. */
  static final int MAX_FIND_BYTES = 1024;

  private static final Set<String> FIELDS =
      Set.of("s3_bucket_name", "folder", "find", "concurrency", "client", "keys", "on_error");

  /**
   * Checks one event, parsed from JSON; null is the same as left out.
   *
   * @throws InvalidEvent for an unknown field, a missing bucket, a value of a wrong type or out of
   *     range, and two settings that contradict each other
   */
  static Event decode(Object payload) {
    if (!(payload instanceof Map<?, ?> fields)) {
      throw new InvalidEvent("must be a JSON object");
    }
    for (Object name : fields.keySet()) {
      require(FIELDS.contains(name), "unknown field \"" + name + "\"");
    }
    String bucket = text(fields, "s3_bucket_name", "");
    require(!bucket.isEmpty(), "s3_bucket_name is missing");
    boolean isName = bucket.indexOf('/') < 0 && bucket.indexOf(' ') < 0;
    require(
        isName || bucket.startsWith("arn:"),
        "s3_bucket_name \"" + bucket + "\": a name, without a path");
    String find = text(fields, "find", null);
    if (find != null) {
      int size = find.getBytes(StandardCharsets.UTF_8).length;
      require(
          size >= 1 && size <= MAX_FIND_BYTES,
          "find of " + size + " bytes: must be 1 to 1024, or null to count");
    }
    Integer concurrency = get(fields, "concurrency", Integer.class, null);
    if (concurrency != null) {
      require(
          concurrency >= 1 && concurrency <= MAX_CONCURRENCY,
          "concurrency " + concurrency + ": must be 1 to 1024");
    }
    String client = text(fields, "client", "");
    require(
        client.isEmpty() || Store.NAMES.contains(client),
        "client \"" + client + "\": must be one of " + String.join(", ", Store.NAMES));
    String onError = text(fields, "on_error", "");
    require(
        Set.of("", "fail", "continue").contains(onError),
        "on_error \"" + onError + "\": must be fail or continue");
    String folder = text(fields, "folder", "");
    List<String> keys = keys(get(fields, "keys", List.class, null));
    require(keys == null || folder.isEmpty(), "keys and folder are mutually exclusive");
    return new Event(
        bucket,
        folder,
        find,
        concurrency,
        client.isEmpty() ? null : client,
        keys,
        onError.equals("continue"));
  }

  private static List<String> keys(List<?> values) {
    if (values == null) {
      return null;
    }
    for (Object value : values) {
      require(
          value instanceof String key && !key.isEmpty(),
          "keys contains an empty key, or what is no key");
    }
    return values.stream().map(key -> whole("keys", (String) key)).toList();
  }

  private static String text(Map<?, ?> fields, String name, String otherwise) {
    String text = get(fields, name, String.class, otherwise);
    return text == null ? null : whole(name, text);
  }

  private static String whole(String name, String text) {
    boolean whole = StandardCharsets.UTF_8.newEncoder().canEncode(text);
    require(whole, name + ": half of a surrogate pair is no text");
    return text;
  }

  private static <T> T get(Map<?, ?> fields, String name, Class<T> type, T otherwise) {
    Object value = fields.get(name);
    require(
        value == null || type.isInstance(value), name + " must be of type " + type.getSimpleName());
    return value == null ? otherwise : type.cast(value);
  }

  private static void require(boolean holds, String otherwise) {
    if (!holds) {
      throw new InvalidEvent(otherwise);
    }
  }
}
