package fanout;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.URLDecoder;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.security.cert.CertificateException;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/**
 * The client lean: HTTP/1.1 and Signature Version 4 on sockets, and no more than reading whole
 * objects needs. It reads general purpose buckets with the credentials of the environment, and
 * knows no proxies.
 */
final class Lean implements Store {
  private static final Set<String> TRANSIENT =
      Set.of("InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown");
  private static final Pattern CODE = Pattern.compile("<Code>([A-Za-z0-9.]+)</Code>");
  private static final Pattern KEY = Pattern.compile("<Key>([^<]+)</Key>");
  private static final Pattern TOKEN =
      Pattern.compile("<NextContinuationToken>([^<]+)</NextContinuationToken>");
  private static final Pattern LABEL = Pattern.compile("[a-z0-9][a-z0-9-]{1,61}[a-z0-9]");
  private static final Pattern ADDRESS = Pattern.compile("[0-9.]+|\\[.*]");

  private final String endpoint;
  private final Signer signer;
  private final Deque<Connection> idle = new ConcurrentLinkedDeque<>();
  private final Set<Connection> busy = ConcurrentHashMap.newKeySet();
  private final AtomicLong opened = new AtomicLong();
  private volatile Place place;
  private final AtomicLong cancelled =
      new AtomicLong(); // how often: what began before is no longer wanted

  /** Where a bucket is: path is what comes before a key's slash. */
  record Place(boolean tls, String host, int port, String authority, String path) {
    /**
     * Finds a bucket at an endpoint: by its name in front of the host's if that is a label in a
     * domain.
     */
    static Place of(String bucket, String endpoint) {
      if (bucket.startsWith("arn:") || (bucket.endsWith("-s3") && bucket.contains("--"))) {
        throw new InvalidEvent(
            "s3_bucket_name \"" + bucket + "\": lean reads general purpose buckets by name");
      }
      URI uri = URI.create(endpoint);
      boolean tls = "https".equals(uri.getScheme());
      if (uri.getHost() == null || !(tls || "http".equals(uri.getScheme()))) {
        throw new IllegalArgumentException(
            "endpoint " + endpoint + ": must be http(s)://HOST[:PORT][/PATH]");
      }
      String host = uri.getHost();
      String path = uri.getRawPath().replaceAll("/+$", "");
      if (LABEL.matcher(bucket).matches()
          && !host.equals("localhost")
          && !ADDRESS.matcher(host).matches()) {
        host = bucket + "." + host;
      } else {
        path += "/" + escape(bucket);
      }
      int standard = tls ? 443 : 80;
      int port = uri.getPort() < 0 ? standard : uri.getPort();
      return new Place(tls, host, port, port == standard ? host : host + ":" + port, path);
    }
  }

  /**
   * Takes the settings that Lambda and the SDKs use. Certificates are those that the JVM trusts.
   */
  Lean(Map<String, String> env) {
    String region = env.getOrDefault("AWS_REGION", env.getOrDefault("AWS_DEFAULT_REGION", ""));
    String keyId = env.getOrDefault("AWS_ACCESS_KEY_ID", "");
    String secret = env.getOrDefault("AWS_SECRET_ACCESS_KEY", "");
    if (region.isEmpty() || keyId.isEmpty() || secret.isEmpty()) {
      throw new IllegalStateException(
          "AWS_REGION, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set");
    }
    String token = env.getOrDefault("AWS_SESSION_TOKEN", "");
    signer = new Signer(region, keyId, secret, token.isEmpty() ? null : token);
    String domain = region.startsWith("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
    String standard = env.getOrDefault("AWS_ENDPOINT_URL", "https://s3." + region + domain);
    endpoint = env.getOrDefault("AWS_ENDPOINT_URL_S3", standard);
  }

  @Override
  public void use(String bucket) {
    Place next = Place.of(bucket, endpoint);
    if (!next.equals(place)) {
      idle.forEach(Lean::close);
      idle.clear();
      place = next;
    }
  }

  @Override
  public long connections() {
    return opened.get();
  }

  @Override
  public void warm() throws IOException {
    idle.push(connect());
  }

  @Override
  public void cancel() {
    cancelled.incrementAndGet();
    busy.forEach(Lean::close);
  }

  @Override
  public void list(String bucket, String prefix, Consumer<List<String>> pages) {
    String tried = "list s3://" + bucket + "/" + prefix;
    String token = "";
    do {
      String query =
          "encoding-type=url&list-type=2&prefix=" + escape(prefix); // XML cannot carry every key
      Text text = new Text();
      read(
          tried,
          "/",
          token.isEmpty() ? query : "continuation-token=" + escape(token) + "&" + query,
          text,
          new Read());
      String xml = text.toString();
      if (!xml.contains("<EncodingType>url</EncodingType>")) {
        throw new S3Error(tried + ": not a listing with escaped keys");
      }
      List<String> keys = new ArrayList<>();
      for (Matcher key = KEY.matcher(xml); key.find(); ) {
        keys.add(URLDecoder.decode(key.group(1), StandardCharsets.UTF_8));
      }
      pages.accept(keys);
      Matcher more = TOKEN.matcher(xml);
      token = more.find() ? unescapeXml(more.group(1)) : "";
    } while (!token.isEmpty());
  }

  @Override
  public void get(String bucket, String key, Sink body, Read read) {
    read("get s3://" + bucket + "/" + key, "/" + escape(key).replace("%2F", "/"), "", body, read);
  }

  /**
   * Asks until there is an answer, later and later: that helps against a busy S3 and a broken line.
   */
  private void read(String tried, String path, String query, Sink sink, Read read) {
    FetchError error = null;
    long wanted = cancelled.get();
    while (read.attempts < ATTEMPTS && wanted == cancelled.get()) {
      if (read.attempts > 0) {
        pause(read.attempts);
      }
      sink.reset();
      read.attempts++;
      long started = System.nanoTime();
      try {
        Connection.Response response = ask(path, query, sink);
        if (response.status() == 200) {
          read.firstByte = response.firstByte() - started;
          return;
        }
        Matcher found = CODE.matcher(response.text());
        String code = found.find() ? found.group(1) : "HTTP " + response.status();
        error = FetchError.named(code, tried + ": " + code);
        if (response.status() < 500 && response.status() != 429 && !TRANSIENT.contains(code)) {
          throw error;
        }
      } catch (IOException broken) {
        error = new S3Error(tried + ": " + broken.getMessage());
        if (untrusted(broken)) {
          throw error;
        }
      }
    }
    throw error == null ? new S3Error(tried + ": nobody waits for it") : error;
  }

  /**
   * Says whether a certificate is not trusted, which trying again does not help. A handshake that
   * breaks off is of the same class, and has another cause.
   */
  static boolean untrusted(Throwable error) {
    return error != null && (error instanceof CertificateException || untrusted(error.getCause()));
  }

  /** Waits up to 50 ms after the first attempt, then up to twice that, and so on, at most 2 s. */
  private static void pause(int attempts) {
    try {
      Thread.sleep(ThreadLocalRandom.current().nextLong(Math.min(25L << attempts, 2000)));
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new S3Error("interrupted");
    }
  }

  private Connection.Response ask(String path, String query, Sink sink) throws IOException {
    Connection connection = idle.poll();
    if (connection == null) {
      connection = connect();
    }
    busy.add(connection);
    try {
      byte[] request =
          signer.sign(place.authority, place.path + path, query, System.currentTimeMillis() / 1000);
      Connection.Response response = connection.ask(request, sink);
      if (!response.last()) {
        busy.remove(connection);
        idle.push(connection);
        connection = null;
      }
      return response;
    } finally {
      if (connection != null) {
        busy.remove(connection);
        close(connection);
      }
    }
  }

  private Connection connect() throws IOException {
    InetAddress[] addresses =
        InetAddress.getAllByName(place.host); // S3 has several, to be used alike
    InetAddress address = addresses[ThreadLocalRandom.current().nextInt(addresses.length)];
    Socket socket = new Socket();
    Socket talking = socket;
    try {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(SILENCE_MS);
      socket.connect(new InetSocketAddress(address, place.port), SILENCE_MS);
      if (place.tls) {
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        SSLSocket tls = (SSLSocket) factory.createSocket(socket, place.host, place.port, true);
        SSLParameters parameters = tls.getSSLParameters();
        parameters.setEndpointIdentificationAlgorithm("HTTPS");
        tls.setSSLParameters(parameters);
        tls.startHandshake();
        talking = tls;
      }
      opened.incrementAndGet();
      return new Connection(talking, socket);
    } catch (IOException | RuntimeException failed) {
      socket.close();
      throw failed;
    }
  }

  private static void close(Connection connection) {
    try {
      connection.close();
    } catch (IOException broken) {
      // it is of no more use either way
    }
  }

  /** Percent-encodes everything but the unreserved characters of RFC 3986. */
  static String escape(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8)
        .replace("+", "%20")
        .replace("*", "%2A")
        .replace("%7E", "~");
  }

  private static String unescapeXml(String text) {
    return text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
  }
}
