package fanout;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * Lambda's entry point, fanout.Handler: it lists a bucket, reads every object, and answers what it
 * found.
 */
public final class Handler {
  private static final int AUTO =
      64; // what CONCURRENCY=auto means: 16 rounds of latency for 1,000 objects
  private static final long WARM_MS = 2000; // Lambda ends INIT after 10 s
  private static final int MB_PER_VCPU =
      1769; // docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
  static final int FILES = 960; // of Lambda's 1,024, for connections

  private final int concurrency;
  private final int memoryMb;
  private final Map<String, String> env;
  private final String name;
  private final Map<String, Store> clients = new HashMap<>();
  private boolean cold = true;

  /**
   * Opens the client and, where the bucket is known, its connections: in INIT, a small function has
   * a whole vCPU.
   */
  public Handler() {
    this(System.getenv());
  }

  Handler(Map<String, String> env) {
    concurrency = number(env, "CONCURRENCY", AUTO, Event.MAX_CONCURRENCY, "auto or 1 to 1024");
    memoryMb = number(env, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", 0, 1 << 20, "a number of MB");
    String asked = env.getOrDefault("CLIENT", "");
    if (!asked.isEmpty() && !Store.NAMES.contains(asked)) {
      throw new IllegalArgumentException(
          "CLIENT=" + asked + ": must be one of " + String.join(", ", Store.NAMES));
    }
    name = asked.isEmpty() ? Store.LEAN : asked;
    this.env = env;
    Store client = open(name);
    if (!env.getOrDefault("BUCKET", "").isEmpty()) {
      warm(client, env.get("BUCKET"));
    }
  }

  private Store open(String client) {
    return clients.computeIfAbsent(client, opened -> Store.open(opened, env));
  }

  private static int number(
      Map<String, String> env, String name, int otherwise, int most, String allowed) {
    String value = env.getOrDefault(name, "");
    if (value.isEmpty() || value.equals("auto")) {
      return otherwise;
    }
    if (!value.matches("[0-9]{1,7}")
        || Integer.parseInt(value) < 1
        || Integer.parseInt(value) > most) {
      throw new IllegalArgumentException(name + "=" + value + ": must be " + allowed);
    }
    return Integer.parseInt(value);
  }

  /**
   * What cannot be done ahead is done later: the first event will meet the same error, and name it.
   */
  private void warm(Store client, String bucket) {
    client.use(bucket);
    ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
    for (int i = 0; i < Math.min(concurrency, FILES); i++) {
      Future<?> unused =
          threads.submit(
              () -> {
                client.warm();
                return null;
              });
    }
    threads.shutdown();
    try {
      threads.awaitTermination(WARM_MS, TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Answers one event, parsed from JSON.
   *
   * @throws FetchError under the name that a caller can act on
   */
  public Map<String, Object> handleRequest(Object payload, Context context) throws IOException {
    long started = System.nanoTime();
    Duration cpu = cpuTime();
    boolean first = cold;
    cold = false;
    Event event = Event.decode(payload);
    int workers = event.concurrency() == null ? concurrency : event.concurrency();
    String asked = event.client() == null ? name : event.client();
    Store client = open(asked);
    long connections = client.connections();
    client.use(event.bucket());
    long leftMs = context.getRemainingTimeInMillis();
    Job job = new Job(event, client);
    job.run(
        Math.min(workers, FILES - 1), started + (leftMs - marginMs(leftMs, memoryMb)) * 1_000_000);

    Total total = job.total();
    Map<String, Object> stats = new LinkedHashMap<>();
    stats.put("objects", total.objects());
    stats.put("bytes", total.bytes());
    stats.put("errors", total.errors());
    stats.put("retries", total.retries());
    stats.put("connections", client.connections() - connections);
    stats.put("list_ms", job.listMs());
    stats.put("ttfb_p50_ms", total.firstByteMs(50, 1));
    stats.put("ttfb_p99_ms", total.firstByteMs(99, 100)); // under 100 it would be the maximum
    stats.put("cpu_ms", cpuTime().minus(cpu).toNanos() / 1e6);
    stats.put("max_rss_mb", maxRssMb());
    stats.put("digest", total.digest());
    stats.put("cold", first);
    stats.put("concurrency", workers);
    stats.put("client", asked);
    Map<String, Object> answer = new LinkedHashMap<>();
    answer.put("lang", "java");
    answer.put("detail", asked);
    answer.put("result", total.result(event.find() != null));
    answer.put("time", (System.nanoTime() - started) / 1_000_000 / 1e3);
    answer.put("stats", stats);
    return answer;
  }

  /**
   * Gives how long before the time limit to stop, so that an answer can still be sent: a tenth of
   * what is left, at most 1 s, but never less than winding up takes on this memory's share of a CPU
   * (200 ms of CPU time in code that no compiler has seen yet, in 400 ms to 1.5 s), nor more than
   * half.
   */
  static long marginMs(long leftMs, int memoryMb) {
    long windUp = memoryMb == 0 ? 400 : Math.clamp(200L * MB_PER_VCPU / memoryMb, 400, 1500);
    return Math.min(Math.max(Math.min(leftMs / 10, 1000), windUp), leftMs / 2);
  }

  /** This process's user and system time, which Linux counts in 10 ms. */
  private static Duration cpuTime() {
    return ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
  }

  /** This process's peak of resident memory, 1 MB = 2^20 bytes. */
  private static double maxRssMb() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmHWM:")) {
        return Double.parseDouble(line.replaceAll("[^0-9]", "")) / 1024;
      }
    }
    return 0;
  }
}
