#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection.h"
#include "error.h"
#include "sigv4.h"

namespace fanout {

// Gives an environment variable; empty: it is not set.
using Environment = std::function<std::string(const char* name)>;

// What a client is made from.
struct ClientConfig {
  std::string endpoint;  // http(s)://HOST[:PORT][/PATH]
  std::string region;
  Credentials credentials;
  std::string ca_bundle;  // empty: the system's
  std::chrono::milliseconds longest_backoff{2000};

  // Takes the settings that Lambda and the SDKs use. Throws Error InvalidConfiguration.
  static ClientConfig FromEnvironment(const Environment& getenv);
};

// Where a bucket is.
struct Place {
  bool tls = true;
  std::string host;
  std::string port;
  std::string authority;
  std::string path;  // before a key's slash

  bool operator==(const Place&) const = default;
};

// Finds a bucket at an endpoint: by its name in front of the host's if that is a label in a domain. Throws Error
// InvalidEvent for a bucket that is no general purpose bucket's name, and InvalidConfiguration for the endpoint.
Place Locate(const std::string& bucket, const std::string& endpoint);

// One thing to read whole.
struct Request {
  std::string tried;  // for messages
  std::string path;   // behind the bucket, escaped
  std::string query;  // escaped and sorted
  Sink* sink = nullptr;

  // What came of it.
  unsigned attempts = 0;
  Clock::time_point started;              // the last attempt
  std::chrono::nanoseconds first_byte{};  // from that to the response's first byte
  std::optional<Error> error;
};

// The client lean: HTTP/1.1 and Signature Version 4 on epoll and OpenSSL, and no more than reading whole objects needs,
// on one thread. It reads general purpose buckets with the credentials of the environment, and knows no proxies.
//
// A request is tried again, later and later, as long as that can help: 10 times, so that with one in eleven failing
// less than one object in a billion stays unread.
class Client {
 public:
  // Opens no connection. Throws Error InvalidConfiguration.
  explicit Client(ClientConfig config);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Reads from this bucket from now on. Nothing may be in flight.
  void Use(const std::string& bucket);

  // Opens connections ahead of the first request, as far as that works until then.
  void Warm(size_t connections, Clock::time_point until);

  // Begins a request, which must live until Poll has given it back, or Cancel.
  void Start(Request& request);

  // Waits for requests to be done or to have failed, and gives those; none if it is past until.
  std::vector<Request*> Poll(Clock::time_point until);

  // Lets go of everything in flight.
  void Cancel();

  // Counts the connections opened so far.
  [[nodiscard]] uint64_t connections() const { return opened_; }

  // Gives how many connections this process may hold: its file descriptors, but for 64 or a quarter of them.
  static size_t MaxConnections();

 private:
  using Id = uint64_t;

  struct Slot {
    std::unique_ptr<Connection> connection;
    Request* request = nullptr;
    bool counted = false;
  };

  struct Retry {
    Clock::time_point at;
    Request* request = nullptr;
    bool operator>(const Retry& other) const { return at > other.at; }
  };

  void Attempt(Request& request);
  void Ask(Slot& slot, Request& request);
  void Resolve();
  Id Connect();
  void WaitOnce(Clock::time_point until);
  void Advance(Id id);
  void Finish(Request& request, const Connection& connection);
  void Fail(Request& request, Error error, bool again);
  void Lose(Id id, const ConnectionError& error);
  void CloseSilent();

  ClientConfig config_;
  Signer signer_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls_;
  int epoll_;
  Place place_;
  std::vector<Address> addresses_;
  Clock::time_point resolved_;
  Id last_id_ = 0;
  std::unordered_map<Id, Slot> slots_;
  std::vector<Id> idle_;  // some may have been closed since
  std::vector<Request*> done_;
  std::priority_queue<Retry, std::vector<Retry>, std::greater<>> retries_;
  Clock::time_point checked_;
  uint64_t opened_ = 0;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace fanout
