package fanout;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import software.amazon.awssdk.awscore.exception.AwsErrorDetails;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.services.s3.model.S3Exception;

class SdkTest {
  @ParameterizedTest
  @CsvSource({
    "NoSuchBucket, 404, NoSuchBucket, NoSuchBucket",
    "AccessDenied, 403, AccessDenied, AccessDenied",
    "ExpiredToken, 400, AccessDenied, ExpiredToken",
    "NoSuchKey, 404, S3Error, NoSuchKey",
    "'', 502, S3Error, HTTP 502",
    ", 502, S3Error, HTTP 502",
  })
  void refusalsByName(String code, int status, String name, String told) {
    var details = AwsErrorDetails.builder().errorCode(code).errorMessage("why").build();
    var refused = S3Exception.builder().statusCode(status).awsErrorDetails(details).build();
    FetchError error = Sdk.told((S3Exception) refused, "get s3://b/k");
    assertEquals(name, error.getClass().getSimpleName());
    assertTrue(error.getMessage().startsWith("get s3://b/k: " + told + ": why"), error.toString());
  }

  @Test
  void noAnswer() {
    FetchError error = Sdk.told(SdkClientException.create("refused"), "list s3://b/");
    assertEquals("fanout.S3Error: list s3://b/: refused", error.toString());
  }

  /** Whoever waits next on this thread must not wait. */
  @Test
  void interruptedStaysSo() {
    Sdk.told(AbortedException.create("stopped"), "get s3://b/k");
    assertTrue(Thread.interrupted());
  }

  /** Finds the classes of this package again, and none of the SDK's. */
  private static final class WithoutSdk extends ClassLoader {
    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
      if (name.startsWith("software.amazon.") || name.startsWith("org.apache.hc.")) {
        throw new ClassNotFoundException(name);
      }
      if (!name.startsWith("fanout.")) {
        return super.loadClass(name, resolve);
      }
      Class<?> loaded = findLoadedClass(name);
      if (loaded != null) {
        return loaded;
      }
      try (InputStream in = getResourceAsStream(name.replace('.', '/') + ".class")) {
        byte[] bytes = in.readAllBytes();
        return defineClass(name, bytes, 0, bytes.length);
      } catch (IOException broken) {
        throw new ClassNotFoundException(name, broken);
      }
    }
  }

  private static void init(String client) throws ReflectiveOperationException {
    Map<String, String> env = new HashMap<>();
    env.put("AWS_REGION", "eu-west-1");
    env.put("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    env.put("AWS_SECRET_ACCESS_KEY", "secret");
    env.put("CLIENT", client);
    var handler = new WithoutSdk().loadClass("fanout.Handler").getDeclaredConstructor(Map.class);
    handler.setAccessible(true);
    handler.newInstance(env);
  }

  /** A cold start with lean must not pay for the SDK. */
  @Test
  void leanLoadsNoSdk() throws ReflectiveOperationException {
    init("lean");
    var failed = assertThrows(InvocationTargetException.class, () -> init("tuned"));
    assertEquals(NoClassDefFoundError.class, failed.getCause().getClass());
  }
}
