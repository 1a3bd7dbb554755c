import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Proxy;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs a Lambda handler where there is no aws-lambda-java-runtime-interface-client: one that takes a stream, or an
 * event that is a String, a Map, a List, a Number or a Boolean. Others need that client.
 */
public final class Loop {
  private static final String API = "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/";

  public static void main(String[] args) throws Exception {
    Object target;
    Method method;
    try {
      String[] handler = System.getenv("_HANDLER").split("::");
      Class<?> type = Class.forName(handler[0]);
      method = find(type, handler.length > 1 ? handler[1] : "handleRequest");
      target = Modifier.isStatic(method.getModifiers()) ? null : type.getConstructor().newInstance();
    } catch (Throwable error) {
      fail("init/error", error);
      System.exit(1);
      return;
    }
    while (true) {
      HttpURLConnection next = connect("invocation/next");
      byte[] event = next.getInputStream().readAllBytes();
      String path = "invocation/" + next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
      byte[] answer;
      try {
        answer = invoke(target, method, event, next);
      } catch (Throwable error) {
        fail(path + "/error", error);
        continue;
      }
      post(path + "/response", answer, null);
    }
  }

  /** The method of that name to call: of several, the one with the most parameters, and not the compiler's own. */
  private static Method find(Class<?> type, String name) throws NoSuchMethodException {
    return Arrays.stream(type.getMethods())
        .filter(m -> m.getName().equals(name) && !m.isBridge() && m.getParameterCount() <= 3)
        .max(Comparator.comparingInt(Method::getParameterCount))
        .orElseThrow(() -> new NoSuchMethodException(
            "No public method named " + name + " with appropriate method signature found on class " + type.getName()));
  }

  private static byte[] invoke(Object target, Method method, byte[] event, HttpURLConnection next) throws Throwable {
    Object[] arguments = new Object[method.getParameterCount()];
    ByteArrayOutputStream streamed = new ByteArrayOutputStream();
    for (int i = 0; i < arguments.length; i++) {
      Class<?> type = method.getParameterTypes()[i];
      if (type == InputStream.class) {
        arguments[i] = new ByteArrayInputStream(event);
      } else if (type == OutputStream.class) {
        arguments[i] = streamed;
      } else if (type.getName().equals("com.amazonaws.services.lambda.runtime.Context")) {
        arguments[i] = context(type, next);
      } else {
        arguments[i] = convert(new Json(new String(event, StandardCharsets.UTF_8)).whole(), type);
      }
    }
    try {
      Object result = method.invoke(target, arguments);
      boolean streams = Arrays.asList(method.getParameterTypes()).contains(OutputStream.class);
      return streams ? streamed.toByteArray() : Json.write(result).getBytes(StandardCharsets.UTF_8);
    } catch (InvocationTargetException error) {
      throw error.getCause();
    }
  }

  private static Object convert(Object value, Class<?> type) {
    if (value == null || type.isInstance(value)) {
      return value;
    } else if (value instanceof Number number && (type == Integer.class || type == int.class)) {
      return number.intValue();
    } else if (value instanceof Number number && (type == Long.class || type == long.class)) {
      return number.longValue();
    } else if (value instanceof Boolean && type == boolean.class || value instanceof Double && type == double.class) {
      return value;
    }
    throw new IllegalArgumentException("an event as " + type.getName()
        + " needs aws-lambda-java-runtime-interface-client: put it into the package, or into Maven's cache");
  }

  private static Object context(Class<?> type, HttpURLConnection next) {
    return Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (self, method, args) -> switch (method.getName()) {
      case "getAwsRequestId" -> next.getHeaderField("Lambda-Runtime-Aws-Request-Id");
      case "getInvokedFunctionArn" -> next.getHeaderField("Lambda-Runtime-Invoked-Function-Arn");
      case "getRemainingTimeInMillis" ->
          (int) Math.max(0, Long.parseLong(next.getHeaderField("Lambda-Runtime-Deadline-Ms")) - System.currentTimeMillis());
      case "getFunctionName" -> System.getenv("AWS_LAMBDA_FUNCTION_NAME");
      case "getFunctionVersion" -> System.getenv("AWS_LAMBDA_FUNCTION_VERSION");
      case "getMemoryLimitInMB" -> Integer.parseInt(System.getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"));
      case "getLogGroupName" -> System.getenv("AWS_LAMBDA_LOG_GROUP_NAME");
      case "getLogStreamName" -> System.getenv("AWS_LAMBDA_LOG_STREAM_NAME");
      case "getLogger" -> Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {method.getReturnType()}, (logger, log, text) -> {
        System.out.println(text[0] instanceof byte[] bytes ? new String(bytes, StandardCharsets.UTF_8) : text[0]);
        return null;
      });
      case "toString" -> "Context of the sandbox";
      default -> null;
    });
  }

  private static HttpURLConnection connect(String path) throws Exception {
    return (HttpURLConnection) URI.create(API + path).toURL().openConnection();
  }

  private static void post(String path, byte[] body, String errorType) throws Exception {
    HttpURLConnection connection = connect(path);
    connection.setDoOutput(true);
    if (errorType != null) {
      connection.setRequestProperty("Lambda-Runtime-Function-Error-Type", errorType);
    }
    connection.setFixedLengthStreamingMode(body.length);
    connection.getOutputStream().write(body);
    if (connection.getResponseCode() < 400) {
      connection.getInputStream().readAllBytes();
    } else {
      connection.getErrorStream().readAllBytes();
    }
  }

  /** Sends an error, and logs it. */
  private static void fail(String path, Throwable error) throws Exception {
    Throwable shown = error instanceof InvocationTargetException ? error.getCause() : error;
    shown.printStackTrace();
    post(path, Json.write(describe(shown)).getBytes(StandardCharsets.UTF_8), shown.getClass().getName());
  }

  private static Map<String, Object> describe(Throwable error) {
    Map<String, Object> object = new LinkedHashMap<>();
    boolean missing = error instanceof ClassNotFoundException;
    object.put("errorMessage", missing ? "Class not found: " + error.getMessage() : error.getMessage());
    object.put("errorType", error.getClass().getName());
    object.put("stackTrace", Arrays.stream(error.getStackTrace()).map(StackTraceElement::toString).toList());
    if (error.getCause() != null) {
      object.put("cause", describe(error.getCause()));
    }
    return object;
  }

  /** Reads and writes JSON as maps, lists, strings, numbers, booleans and null. */
  private static final class Json {
    private final String text;
    private int at;

    Json(String text) {
      this.text = text;
    }

    Object whole() {
      Object value = value();
      if (peek() != 0) {
        throw new IllegalArgumentException("JSON: more than one value");
      }
      return value;
    }

    private char peek() {
      while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
        at++;
      }
      return at < text.length() ? text.charAt(at) : 0;
    }

    private boolean skip(char c) {
      boolean there = peek() == c;
      at += there ? 1 : 0;
      return there;
    }

    private void need(char c) {
      if (!skip(c)) {
        throw new IllegalArgumentException("JSON: no " + c + " at " + at);
      }
    }

    private Object value() {
      switch (peek()) {
        case '{' -> {
          Map<String, Object> map = new LinkedHashMap<>();
          at++;
          while (!skip('}')) {
            String key = string();
            need(':');
            map.put(key, value());
            if (peek() != '}') {
              need(',');
            }
          }
          return map;
        }
        case '[' -> {
          List<Object> list = new ArrayList<>();
          at++;
          while (!skip(']')) {
            list.add(value());
            if (peek() != ']') {
              need(',');
            }
          }
          return list;
        }
        case '"' -> {
          return string();
        }
        default -> {
          int from = at;
          while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) {
            at++;
          }
          return plain(text.substring(from, at));
        }
      }
    }

    private static Object plain(String word) {
      return switch (word) {
        case "null" -> null;
        case "true" -> true;
        case "false" -> false;
        default -> word.matches("-?\\d{1,9}") ? (Object) Integer.valueOf(word)
            : word.matches("-?\\d{1,18}") ? (Object) Long.valueOf(word) : (Object) Double.valueOf(word);
      };
    }

    private String string() {
      need('"');
      StringBuilder out = new StringBuilder();
      for (char c; (c = text.charAt(at++)) != '"'; ) {
        if (c == '\\') {
          c = text.charAt(at++);
          int control = "bfnrt".indexOf(c);
          if (control >= 0) {
            c = "\b\f\n\r\t".charAt(control);
          } else if (c == 'u') {
            c = (char) Integer.parseInt(text.substring(at, at += 4), 16);
          }
        }
        out.append(c);
      }
      return out.toString();
    }

    static String write(Object value) {
      if (value instanceof Map<?, ?> map) {
        List<String> parts = new ArrayList<>();
        map.forEach((key, v) -> parts.add(quote(String.valueOf(key)) + ":" + write(v)));
        return "{" + String.join(",", parts) + "}";
      } else if (value instanceof Iterable<?> list) {
        List<String> parts = new ArrayList<>();
        list.forEach(v -> parts.add(write(v)));
        return "[" + String.join(",", parts) + "]";
      } else if (value == null || value instanceof Number || value instanceof Boolean) {
        return String.valueOf(value);
      } else if (value instanceof CharSequence || value instanceof Enum<?>) {
        return quote(value.toString());
      }
      throw new IllegalArgumentException("an answer as " + value.getClass().getName()
          + " needs aws-lambda-java-runtime-interface-client: put it into the package, or into Maven's cache");
    }

    private static String quote(String text) {
      StringBuilder out = new StringBuilder("\"");
      for (char c : text.toCharArray()) {
        if (c == '"' || c == '\\') {
          out.append('\\').append(c);
        } else if (c < ' ') {
          out.append(String.format("\\u%04x", (int) c));
        } else {
          out.append(c);
        }
      }
      return out.append('"').toString();
    }
  }
}
