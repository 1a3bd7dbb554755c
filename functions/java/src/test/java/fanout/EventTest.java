package fanout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class EventTest {
  @Test
  void allFields() {
    Event event =
        Event.decode(
            Map.of(
                "s3_bucket_name",
                "b",
                "find",
                "x",
                "concurrency",
                7,
                "client",
                "lean",
                "keys",
                List.of("k", "ü"),
                "on_error",
                "continue"));
    assertEquals(new Event("b", "", "x", 7, "lean", List.of("k", "ü"), true), event);
  }

  @Test
  void nullIsLeftOut() {
    Map<String, Object> fields = new HashMap<>();
    for (String name : List.of("find", "concurrency", "client", "keys", "on_error")) {
      fields.put(name, null);
    }
    fields.put("s3_bucket_name", "b");
    fields.put("folder", "p/");
    assertEquals(new Event("b", "p/", null, null, null, null, false), Event.decode(fields));
  }

  static List<Arguments> refused() {
    return List.of(
        Arguments.of(List.of(), "must be a JSON object"),
        Arguments.of(7, "must be a JSON object"),
        Arguments.of(Map.of(), "s3_bucket_name is missing"),
        Arguments.of(Map.of("s3_bucket_name", ""), "s3_bucket_name is missing"),
        Arguments.of(Map.of("s3_bucket_name", 7), "s3_bucket_name must be of type String"),
        Arguments.of(Map.of("s3_bucket_name", "b/p"), "without a path"),
        with("buckets", 1, "unknown field \"buckets\""),
        with("find", "", "find of 0 bytes"),
        with("find", "ü".repeat(513), "find of 1026 bytes"),
        with("find", "\ud800", "half of a surrogate pair"),
        with("concurrency", 0, "concurrency 0: must be 1 to 1024"),
        with("concurrency", 1025, "concurrency 1025"),
        with("concurrency", 1.5, "concurrency must be of type Integer"),
        with("concurrency", "64", "concurrency must be of type Integer"),
        with("client", "nobody's", "client \"nobody's\": must be one of lean, tuned, stock"),
        with("keys", "a", "keys must be of type List"),
        with("keys", List.of(""), "keys contains an empty key"),
        with("keys", List.of(1), "or what is no key"),
        with("keys", List.of("k\ud800"), "keys: half of a surrogate pair"),
        with("on_error", "ignore", "on_error \"ignore\""),
        Arguments.of(
            Map.of("s3_bucket_name", "b", "keys", List.of("a"), "folder", "p/"),
            "mutually exclusive"));
  }

  private static Arguments with(String name, Object value, String want) {
    return Arguments.of(Map.of("s3_bucket_name", "b", name, value), want);
  }

  @ParameterizedTest
  @MethodSource
  void refused(Object payload, String want) {
    String got = assertThrows(InvalidEvent.class, () -> Event.decode(payload)).getMessage();
    assertTrue(got.contains(want), got);
  }
}
