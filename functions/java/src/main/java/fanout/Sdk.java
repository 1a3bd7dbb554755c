package fanout;

import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.apache.hc.client5.http.DnsResolver;
import org.apache.hc.client5.http.SystemDefaultDnsResolver;
import software.amazon.awssdk.auth.credentials.EnvironmentVariableCredentialsProvider;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.checksums.ResponseChecksumValidation;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.RetryableException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttribute;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.http.AbortableInputStream;
import software.amazon.awssdk.http.apache5.Apache5HttpClient;
import software.amazon.awssdk.retries.api.BackoffStrategy;
import software.amazon.awssdk.retries.api.RetryStrategy;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.S3ClientBuilder;
import software.amazon.awssdk.services.s3.model.EncodingType;
import software.amazon.awssdk.services.s3.model.S3Object;

/** The clients tuned and stock: the AWS SDK for Java 2.x over its default HTTP client. */
final class Sdk implements Store {
  private static final int CHUNK = 1 << 14; // bytes: a TLS record is no longer
  private static final ExecutionAttribute<Read> READ = new ExecutionAttribute<>("fanout.Read");

  private final AtomicLong opened = new AtomicLong();
  private final S3Client client;

  /** Not tuned is as it comes: 50 connections, few attempts, and checksums verified. */
  Sdk(Map<String, String> env, boolean tuned) {
    Apache5HttpClient.Builder http = Apache5HttpClient.builder().dnsResolver(new Counting());
    S3ClientBuilder builder = S3Client.builder();
    if (tuned) {
      Duration silence = Duration.ofMillis(SILENCE_MS);
      http.maxConnections(Handler.FILES) // or as many as there are workers, who are fewer
          .connectionAcquisitionTimeout(silence)
          .connectionTimeout(silence)
          .socketTimeout(silence);
      builder
          .credentialsProvider(EnvironmentVariableCredentialsProvider.create())
          .responseChecksumValidation(ResponseChecksumValidation.WHEN_REQUIRED);
      String endpoint =
          env.getOrDefault("AWS_ENDPOINT_URL_S3", env.getOrDefault("AWS_ENDPOINT_URL", ""));
      if (!endpoint.isEmpty()) {
        builder.endpointOverride(URI.create(endpoint)).forcePathStyle(true);
      }
    }
    client =
        builder
            .httpClientBuilder(http)
            .overrideConfiguration(
                c -> {
                  c.addExecutionInterceptor(new Timing());
                  if (tuned) {
                    c.retryStrategy(retries());
                  }
                })
            .build();
  }

  /** Waits as lean does, however many requests have failed before. */
  private static RetryStrategy retries() {
    BackoffStrategy backoff =
        BackoffStrategy.exponentialDelay(Duration.ofMillis(50), Duration.ofSeconds(2));
    return AwsRetryStrategy.standardRetryStrategy().toBuilder()
        .maxAttempts(ATTEMPTS)
        .circuitBreakerEnabled(false)
        .backoffStrategy(backoff)
        .throttlingBackoffStrategy(backoff)
        .build();
  }

  /** Counts connections by what each of them begins with: finding the host's addresses. */
  private final class Counting implements DnsResolver {
    @Override
    public InetAddress[] resolve(String host) throws UnknownHostException {
      opened.incrementAndGet();
      return SystemDefaultDnsResolver.INSTANCE.resolve(host);
    }

    @Override
    public String resolveCanonicalHostname(String host) throws UnknownHostException {
      return SystemDefaultDnsResolver.INSTANCE.resolveCanonicalHostname(host);
    }
  }

  /** Notes each attempt at a request in its Read. */
  private static final class Timing implements ExecutionInterceptor {
    @Override
    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes values) {
      Read read = values.getAttribute(READ);
      if (read != null) {
        read.attempts++;
        read.firstByte = -System.nanoTime();
      }
    }

    @Override
    public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes values) {
      Read read = values.getAttribute(READ);
      if (read != null) {
        read.firstByte += System.nanoTime();
      }
    }
  }

  @Override
  public void use(String bucket) {
    // each request names it
  }

  @Override
  public long connections() {
    return opened.get();
  }

  @Override
  public void warm() {
    // the SDK opens connections only for requests
  }

  @Override
  public void cancel() {
    // the SDK gives up when its thread is interrupted
  }

  @Override
  public void list(String bucket, String prefix, Consumer<List<String>> pages) {
    try {
      client
          .listObjectsV2Paginator(
              r -> // XML cannot carry every key; the SDK decodes them
              r.bucket(bucket).prefix(prefix).encodingType(EncodingType.URL))
          .forEach(page -> pages.accept(page.contents().stream().map(S3Object::key).toList()));
    } catch (SdkException error) {
      throw told(error, "list s3://" + bucket + "/" + prefix);
    }
  }

  @Override
  public void get(String bucket, String key, Sink body, Read read) {
    try {
      client.getObject(
          r ->
              r.bucket(bucket)
                  .key(key)
                  .overrideConfiguration(c -> c.putExecutionAttribute(READ, read)),
          (response, in) -> copy(in, body));
    } catch (SdkException error) {
      throw told(error, "get s3://" + bucket + "/" + key);
    }
  }

  /** Reads a body within an attempt: if it breaks off, the SDK tries again. */
  private static Void copy(AbortableInputStream in, Sink body) {
    body.reset();
    byte[] buffer = new byte[CHUNK];
    try {
      for (int got = in.read(buffer); got >= 0; got = in.read(buffer)) {
        body.write(buffer, 0, got);
      }
    } catch (IOException broken) {
      throw RetryableException.create("body broke off: " + broken.getMessage(), broken);
    }
    return null;
  }

  /** Gives the SDK's error its class. */
  static FetchError told(SdkException error, String tried) {
    if (error instanceof AbortedException) {
      Thread.currentThread().interrupt(); // for whoever waits next
    }
    if (error instanceof AwsServiceException refused) {
      String code =
          refused.awsErrorDetails() == null ? null : refused.awsErrorDetails().errorCode();
      code = code == null || code.isEmpty() ? "HTTP " + refused.statusCode() : code;
      return FetchError.named(code, tried + ": " + code + ": " + refused.getMessage());
    }
    return new S3Error(tried + ": " + error.getMessage());
  }
}
