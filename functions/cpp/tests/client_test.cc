#include "client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <map>
#include <thread>

#include "sigv4.h"

namespace fanout {
namespace {

TEST(Hmac, KnownAnswers) {  // RFC 4231, cases 2 and 6
  const auto starts = [](const Sha256Sum& sum) { return std::vector<int>(sum.begin(), sum.begin() + 4); };
  EXPECT_EQ(starts(HmacSha256("Jefe", "what do ya want for nothing?")), (std::vector<int>{0x5b, 0xdc, 0xc1, 0x46}));
  EXPECT_EQ(starts(HmacSha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            (std::vector<int>{0x60, 0xe4, 0x31, 0x59}));
}

// The signatures that AWS publishes for S3, docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
TEST(Signer, Published) {
  Signer signer("us-east-1",
                {.key_id = "AKIAIOSFODNN7EXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", .token = ""});
  constexpr std::time_t kDay = 1369353600;  // 2013-05-24
  for (const auto& [query, want] : std::vector<std::pair<std::string, std::string>>{
           {"lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
           {"max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
       }) {
    const std::string wire = signer.Sign("examplebucket.s3.amazonaws.com", "/", query, kDay);
    EXPECT_TRUE(wire.ends_with("Signature=" + want + "\r\n\r\n")) << wire;
  }
}

TEST(Signer, SignsTheToken) {
  Signer signer("us-east-1", {.key_id = "id", .secret = "secret", .token = "token"});
  const std::string wire = signer.Sign("host", "/a%20b", "", 0);
  EXPECT_TRUE(wire.starts_with("GET /a%20b HTTP/1.1\r\nHost: host\r\n")) << wire;
  EXPECT_NE(wire.find("x-amz-security-token:token\r\n"), std::string::npos);
  EXPECT_NE(wire.find("x-amz-date;x-amz-security-token,"), std::string::npos);
}

TEST(Locate, Places) {
  struct Row {
    std::string bucket, endpoint, authority, path, host, port;
  };
  for (const Row& row : {
           Row{"photos", "https://s3.eu-west-1.amazonaws.com", "photos.s3.eu-west-1.amazonaws.com", "",
               "photos.s3.eu-west-1.amazonaws.com", "443"},
           Row{"my.photos", "https://s3.amazonaws.com/", "s3.amazonaws.com", "/my.photos", "s3.amazonaws.com", "443"},
           Row{"photos", "https://127.0.0.1:9000", "127.0.0.1:9000", "/photos", "127.0.0.1", "9000"},
           Row{"photos", "http://localhost:80/base/", "localhost", "/base/photos", "localhost", "80"},
           Row{"photos", "http://[::1]:9000", "[::1]:9000", "/photos", "::1", "9000"},
           Row{"Photos", "http://s3.local:443", "s3.local:443", "/Photos", "s3.local", "443"},
       }) {
    const Place place = Locate(row.bucket, row.endpoint);
    EXPECT_EQ(place.authority, row.authority);
    EXPECT_EQ(place.path, row.path) << row.endpoint;
    EXPECT_EQ(place.host, row.host) << row.endpoint;
    EXPECT_EQ(place.port, row.port) << row.endpoint;
  }
}

TEST(Locate, Refused) {
  for (const auto& [bucket, endpoint] : std::vector<std::pair<std::string, std::string>>{
           {"arn:aws:s3:eu-west-1:1:accesspoint/a", "https://s3.amazonaws.com"},  // an access point
           {"photos--use1-az4--x-s3", "https://s3.amazonaws.com"},                // a directory bucket
           {"photos", "s3.amazonaws.com"},                                        // no scheme
           {"photos", "ftp://s3.amazonaws.com"},                                  // another one
           {"photos", "https://"},                                                // no host
           {"photos", "https://host:port"},                                       // no number
       }) {
    EXPECT_THROW(Locate(bucket, endpoint), Error) << bucket << " at " << endpoint;
  }
}

// A server that answers one request after the other, on one connection at a time: an answer that is empty, or shorter
// than it says, ends the connection.
class Server {
 public:
  explicit Server(std::vector<std::string> answers)
      : answers_(std::move(answers)), socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_, 16), 0);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~Server() {
    shutdown(socket_, SHUT_RDWR);
    thread_.join();
    close(socket_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] Client MakeClient() const {
    return Client({.endpoint = "http://127.0.0.1:" + std::to_string(port_),
                   .region = "r",
                   .credentials = {"i", "s", ""},
                   .ca_bundle = "",
                   .longest_backoff = std::chrono::milliseconds(1)});
  }
  [[nodiscard]] unsigned requests() const { return requests_; }

 private:
  void Serve() {
    for (int peer = accept(socket_, nullptr, nullptr); peer >= 0; peer = accept(socket_, nullptr, nullptr)) {
      std::array<char, 4096> request{};
      while (recv(peer, request.data(), request.size(), 0) > 0) {
        const std::string& answer = answers_[std::min<size_t>(requests_++, answers_.size() - 1)];
        send(peer, answer.data(), answer.size(), MSG_NOSIGNAL);
        if (answer.empty() || answer.ends_with("cut")) {
          break;
        }
      }
      close(peer);
    }
  }

  std::vector<std::string> answers_;
  int socket_;
  unsigned port_ = 0;
  std::atomic<unsigned> requests_ = 0;
  std::thread thread_;
};

std::string Answer(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

std::string Refusal(int status, const std::string& code) {
  return Answer(status, "<Error><Code>" + code + "</Code></Error>");
}

TEST(Client, WhatComesOfARequest) {
  const std::string good = Answer(200, "body");
  const std::string cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut";
  struct Row {
    std::string name;
    std::vector<std::string> answers;
    std::string error;  // empty: the body is read whole
    unsigned attempts;
  };
  for (const Row& row : {
           Row{"at once", {good}, "", 1},
           Row{"busy, then good", {Refusal(503, "SlowDown"), good}, "", 2},
           Row{"any 500, then good", {Answer(500, ""), good}, "", 2},
           Row{"too many, then good", {Answer(429, ""), good}, "", 2},
           Row{"a slow request, then good", {Refusal(400, "RequestTimeout"), good}, "", 2},
           Row{"a reset, then good", {"", good}, "", 2},
           Row{"cut off, then good", {cut, good}, "", 2},
           Row{"no HTTP, then good", {"what?\r\n\r\n", good}, "", 2},
           Row{"gone", {Refusal(404, "NoSuchKey")}, "NoSuchKey", 1},
           Row{"no bucket", {Refusal(404, "NoSuchBucket")}, "NoSuchBucket", 1},
           Row{"a wrong signature", {Refusal(403, "SignatureDoesNotMatch")}, "AccessDenied", 1},
           Row{"elsewhere", {Answer(301, "")}, "HTTP 301", 1},
           Row{"busy for good", {Refusal(503, "SlowDown")}, "SlowDown", 10},
           Row{"cut off for good", {cut}, "ShortBody", 10},
       }) {
    const Server server(row.answers);
    Client client = server.MakeClient();
    client.Use("bucket");
    Text body;
    Request request;
    request.tried = "get s3://bucket/key";
    request.path = "/key";
    request.sink = &body;
    client.Start(request);
    const std::vector<Request*> done = client.Poll(Clock::now() + std::chrono::minutes(1));
    ASSERT_EQ(done, std::vector<Request*>{&request}) << row.name;
    EXPECT_EQ(request.attempts, row.attempts) << row.name;
    EXPECT_EQ(server.requests(), row.attempts) << row.name;
    EXPECT_EQ(request.error ? request.error->type() : "", row.error) << row.name;
    if (row.error.empty()) {
      EXPECT_EQ(body.bytes(), "body") << row.name;
    } else {
      EXPECT_TRUE(std::string(request.error->what()).starts_with("get s3://bucket/key: ")) << request.error->what();
    }
  }
}

TEST(Client, ConnectionsAreUsedAgain) {
  const Server server({Answer(200, "a"), Answer(200, "b"), Answer(404, "")});
  Client client = server.MakeClient();
  client.Use("bucket");
  client.Warm(1, Clock::now() + std::chrono::minutes(1));
  EXPECT_EQ(client.connections(), 1U);
  for (int i = 0; i < 3; ++i) {
    Text body;
    Request request;
    request.path = "/key";
    request.sink = &body;
    client.Start(request);
    EXPECT_EQ(client.Poll(Clock::now() + std::chrono::minutes(1)).size(), 1U);
  }
  EXPECT_EQ(client.connections(), 1U);
}

TEST(Client, StopsAtTheTimeLimit) {
  const Server server({Refusal(503, "SlowDown")});
  Client client = server.MakeClient();
  client.Use("bucket");
  Text body;
  Request request;
  request.path = "/key";
  request.sink = &body;
  client.Start(request);
  EXPECT_TRUE(client.Poll(Clock::now()).empty());
  client.Cancel();
}

TEST(ClientConfig, FromEnvironment) {
  std::map<std::string, std::string> env = {
      {"AWS_REGION", "eu-west-1"}, {"AWS_ACCESS_KEY_ID", "i"}, {"AWS_SECRET_ACCESS_KEY", "s"}};
  const auto read = [&] { return ClientConfig::FromEnvironment([&](const char* name) { return env[name]; }); };
  EXPECT_EQ(read().endpoint, "https://s3.eu-west-1.amazonaws.com");
  env["AWS_REGION"] = "cn-north-1";
  EXPECT_EQ(read().endpoint, "https://s3.cn-north-1.amazonaws.com.cn");
  env["AWS_ENDPOINT_URL"] = "http://a";
  EXPECT_EQ(read().endpoint, "http://a");
  env["AWS_ENDPOINT_URL_S3"] = "http://b";
  EXPECT_EQ(read().endpoint, "http://b");
  env["AWS_ACCESS_KEY_ID"] = "";
  EXPECT_THROW(read(), Error);
}

}  // namespace
}  // namespace fanout
