package fanout;

import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.HexFormat;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Signs GET requests without a body (Signature Version 4). */
final class Signer {
  private static final String EMPTY_SHA256 =
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  private static final DateTimeFormatter STAMP =
      DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC);

  private final String region;
  private final String keyId;
  private final String secret;
  private final String token;
  private volatile Moment moment = new Moment(-1, "", "", new byte[0]);

  /** What changes with the time: the stamp every second, scope and key every day. */
  private record Moment(long second, String stamp, String scope, byte[] key) {}

  /** Signs with these credentials; token is null for those of a user. */
  Signer(String region, String keyId, String secret, String token) {
    this.region = region;
    this.keyId = keyId;
    this.secret = secret;
    this.token = token;
  }

  /**
   * Gives the whole request. Path and query are escaped, and the query is sorted; second is Unix
   * time.
   */
  byte[] sign(String authority, String path, String query, long second) {
    try {
      Moment now = at(second);
      String names =
          "host;x-amz-content-sha256;x-amz-date" + (token == null ? "" : ";x-amz-security-token");
      String session = token == null ? "" : "x-amz-security-token:" + token + "\n";
      String fields =
          "x-amz-content-sha256:" + EMPTY_SHA256 + "\nx-amz-date:" + now.stamp + "\n" + session;
      String canonical =
          "GET\n"
              + path
              + "\n"
              + query
              + "\nhost:"
              + authority
              + "\n"
              + fields
              + "\n"
              + names
              + "\n"
              + EMPTY_SHA256;
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(canonical.getBytes(StandardCharsets.UTF_8));
      String text =
          "AWS4-HMAC-SHA256\n"
              + now.stamp
              + "\n"
              + now.scope
              + "\n"
              + HexFormat.of().formatHex(hash);
      String request =
          ("GET " + path + (query.isEmpty() ? "" : "?" + query) + " HTTP/1.1\nHost: " + authority)
              + ("\nUser-Agent: fanout\n"
                  + fields
                  + "Authorization: AWS4-HMAC-SHA256 Credential="
                  + keyId
                  + "/")
              + (now.scope + ", SignedHeaders=" + names + ", Signature=")
              + (HexFormat.of().formatHex(hmac(now.key, text)) + "\n\n");
      return request.replace("\n", "\r\n").getBytes(StandardCharsets.UTF_8);
    } catch (GeneralSecurityException missing) {
      throw new IllegalStateException(missing); // every JVM has SHA-256
    }
  }

  private Moment at(long second) throws GeneralSecurityException {
    Moment now = moment;
    if (now.second != second) {
      String stamp = STAMP.format(Instant.ofEpochSecond(second));
      String scope = stamp.substring(0, 8) + "/" + region + "/s3/aws4_request";
      byte[] key = now.key;
      if (!scope.equals(now.scope)) {
        key = ("AWS4" + secret).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) {
          key = hmac(key, part);
        }
      }
      now = new Moment(second, stamp, scope, key);
      moment = now;
    }
    return now;
  }

  private static byte[] hmac(byte[] key, String text) throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
  }
}
