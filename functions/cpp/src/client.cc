#include "client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <ctime>
#include <set>
#include <utility>

#include "json.h"

namespace fanout {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kAttempts = 10;
constexpr auto kSilence = 8s;         // without a byte, after which a connection is given up
constexpr auto kKeepAddresses = 10s;  // S3's change all the time
constexpr auto kTick = 1s;            // how often silence is looked for

// Gives S3's error code the name that it has here.
std::string Named(const std::string& code) {
  static const std::set<std::string> denied = {
      "AccessDenied", "AllAccessDisabled", "ExpiredToken", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch",
  };
  return denied.contains(code) ? "AccessDenied" : code;
}

bool Transient(int status, const std::string& code) {
  static const std::set<std::string> codes = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown"};
  return status >= 500 || status == 429 || codes.contains(code);
}

std::string CodeOf(const ResponseParser& response) {
  constexpr std::string_view kStart = "<Code>";
  const std::string& text = response.text();
  if (const size_t at = text.find(kStart); at != std::string::npos) {
    const size_t start = at + kStart.size();
    return text.substr(start, std::min(text.find('<', start), start + 64) - start);
  }
  return "HTTP " + std::to_string(response.status());
}

bool IsAddress(const std::string& host) {
  std::array<uint8_t, sizeof(in6_addr)> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

// Says whether a bucket's name can stand in front of a host's: under TLS, a dot would be one label too many.
bool IsLabel(const std::string& name) {
  const auto inner = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return name.size() >= 3 && name.size() <= 63 && std::ranges::all_of(name, inner) && name.front() != '-' &&
         name.back() != '-';
}

SSL_CTX* MakeTls(const std::string& bundle) {
  SSL_CTX* tls = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_read_ahead(tls, 1);  // a record with one system call, not two
  if (!bundle.empty()) {
    if (SSL_CTX_load_verify_file(tls, bundle.c_str()) != 1) {
      SSL_CTX_free(tls);
      throw Error("InvalidConfiguration", "AWS_CA_BUNDLE=" + json::Quote(bundle) + ": no certificates can be read");
    }
    return tls;
  }
  SSL_CTX_set_default_verify_paths(tls);
  for (const char* file :
       {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt"}) {  // AL2023, Debian
    if (access(file, R_OK) == 0) {
      SSL_CTX_load_verify_file(tls, file);
      break;
    }
  }
  return tls;
}

}  // namespace

ClientConfig ClientConfig::FromEnvironment(const Environment& getenv) {
  const auto first = [&](std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (std::string value = getenv(name); !value.empty()) {
        return value;
      }
    }
    return std::string();
  };
  ClientConfig config;
  config.region = first({"AWS_REGION", "AWS_DEFAULT_REGION"});
  config.credentials = {.key_id = getenv("AWS_ACCESS_KEY_ID"),
                        .secret = getenv("AWS_SECRET_ACCESS_KEY"),
                        .token = getenv("AWS_SESSION_TOKEN")};
  if (config.region.empty() || config.credentials.key_id.empty() || config.credentials.secret.empty()) {
    throw Error("InvalidConfiguration", "AWS_REGION, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is not set");
  }
  config.endpoint = first({"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  if (config.endpoint.empty()) {
    config.endpoint =
        "https://s3." + config.region + (config.region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com");
  }
  config.ca_bundle = getenv("AWS_CA_BUNDLE");
  return config;
}

Place Locate(const std::string& bucket, const std::string& endpoint) {
  if (bucket.starts_with("arn:") || (bucket.ends_with("-s3") && bucket.find("--") != std::string::npos)) {
    throw Error("InvalidEvent",
                "event: s3_bucket_name " + json::Quote(bucket) + ": lean reads general purpose buckets by name");
  }
  Place place;
  place.tls = endpoint.starts_with("https://");
  const std::string scheme = place.tls ? "https://" : "http://";
  const std::string standard = place.tls ? "443" : "80";
  std::string rest = endpoint.starts_with(scheme) ? endpoint.substr(scheme.size()) : "";
  if (const size_t slash = rest.find('/'); slash != std::string::npos) {
    place.path = rest.substr(slash);
    place.path.resize(place.path.find_last_not_of('/') + 1);
    rest.resize(slash);
  }
  const size_t bracket = rest.find(']');  // of an IPv6 address
  const size_t colon = rest.find(':', bracket == std::string::npos ? 0 : bracket);
  place.port = colon == std::string::npos ? standard : rest.substr(colon + 1);
  place.host = rest.substr(0, colon);
  const std::string port = place.port == standard ? "" : ":" + place.port;
  if (place.host.empty() || place.port.empty() || place.port.find_first_not_of("0123456789") != std::string::npos) {
    throw Error("InvalidConfiguration", "endpoint " + json::Quote(endpoint) + ": must be http(s)://HOST[:PORT][/PATH]");
  }
  const std::string bare = bracket == std::string::npos ? place.host : place.host.substr(1, bracket - 1);
  if (IsLabel(bucket) && bare != "localhost" && !IsAddress(bare)) {
    place.host.insert(0, bucket + ".");
  } else {
    place.path += "/" + Escape(bucket);
  }
  place.authority = place.host + port;
  if (bracket != std::string::npos) {
    place.host = bare;
  }
  return place;
}

Client::Client(ClientConfig config)
    : config_(std::move(config)),
      signer_(config_.region, config_.credentials),
      tls_(MakeTls(config_.ca_bundle), SSL_CTX_free),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

Client::~Client() {
  slots_.clear();
  close(epoll_);
}

void Client::Use(const std::string& bucket) {
  if (Place place = Locate(bucket, config_.endpoint); place != place_) {
    slots_.clear();
    idle_.clear();
    addresses_.clear();
    place_ = std::move(place);
  }
}

void Client::Warm(size_t connections, Clock::time_point until) {
  const uint64_t wanted = opened_ + std::min(connections, MaxConnections());
  try {
    for (uint64_t i = opened_; i < wanted; ++i) {
      Connect();
    }
  } catch (const ConnectionError&) {
    return;  // the first request will meet it, too, and say so
  }
  while (opened_ < wanted && !slots_.empty() && Clock::now() < until) {
    WaitOnce(until);
  }
}

void Client::Start(Request& request) {
  request.attempts = 0;
  request.error.reset();
  Attempt(request);
}

std::vector<Request*> Client::Poll(Clock::time_point until) {
  while (done_.empty() && Clock::now() < until) {
    WaitOnce(until);
  }
  return std::exchange(done_, {});
}

void Client::Cancel() {
  std::erase_if(slots_, [](const auto& slot) { return slot.second.request != nullptr; });
  retries_ = {};
  done_.clear();
}

size_t Client::MaxConnections() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const size_t files = std::min<size_t>(limit.rlim_cur, 1U << 16U);
  return files - std::min<size_t>(64, files / 4);
}

void Client::Attempt(Request& request) {
  request.sink->Reset();
  ++request.attempts;
  request.started = Clock::now();
  while (!idle_.empty()) {
    const Id id = idle_.back();
    idle_.pop_back();
    if (const auto found = slots_.find(id); found != slots_.end()) {
      try {
        Ask(found->second, request);
      } catch (const ConnectionError& error) {
        Lose(id, error);
      }
      return;
    }
  }
  try {
    Ask(slots_.at(Connect()), request);
  } catch (const ConnectionError& error) {
    Fail(request, Error("ConnectionFailed", request.tried + ": " + error.what()), true);
  }
}

void Client::Ask(Slot& slot, Request& request) {
  slot.request = &request;
  slot.connection->Ask(signer_.Sign(place_.authority, place_.path + request.path, request.query, std::time(nullptr)),
                       *request.sink);
}

void Client::Resolve() {
  const auto now = Clock::now();
  if (!addresses_.empty() && now - resolved_ < kKeepAddresses) {
    return;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(place_.host.c_str(), place_.port.c_str(), &hints, &found); code != 0) {
    throw ConnectionError("look up " + place_.host + ": " + gai_strerror(code));
  }
  addresses_.clear();
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    Address& address = addresses_.emplace_back();
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.size = at->ai_addrlen;
  }
  freeaddrinfo(found);
  resolved_ = now;
}

Client::Id Client::Connect() {
  Resolve();
  const Address& address = addresses_[random_() % addresses_.size()];  // S3 has several, to be used alike
  const Id id = ++last_id_;
  auto connection = std::make_unique<Connection>(address, place_.tls ? tls_.get() : nullptr, place_.host);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = id;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd(), &event);
  slots_[id].connection = std::move(connection);
  return id;
}

void Client::WaitOnce(Clock::time_point until) {
  const auto now = Clock::now();
  if (now - checked_ >= kTick) {
    checked_ = now;
    CloseSilent();
  }
  while (!retries_.empty() && retries_.top().at <= now) {
    Request& request = *retries_.top().request;
    retries_.pop();
    Attempt(request);
  }
  if (!done_.empty()) {
    return;
  }
  auto next = std::min(until, now + kTick);
  if (!retries_.empty()) {
    next = std::min(next, retries_.top().at);
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(next - now, Clock::duration::zero()));
  std::array<epoll_event, 64> events{};
  const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), static_cast<int>(wait.count()));
  for (int i = 0; i < count; ++i) {
    Advance(events.at(static_cast<size_t>(i)).data.u64);
  }
}

void Client::Advance(Id id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) {
    return;  // closed since
  }
  Slot& slot = found->second;
  try {
    const bool whole = slot.connection->Advance();
    if (slot.connection->open() && !slot.counted) {
      slot.counted = true;
      ++opened_;
      if (slot.request == nullptr) {
        idle_.push_back(id);
      }
    }
    if (!whole) {
      return;
    }
    Finish(*std::exchange(slot.request, nullptr), *slot.connection);
    if (slot.connection->response().last()) {
      slots_.erase(found);
    } else {
      idle_.push_back(id);
    }
  } catch (const ConnectionError& error) {
    Lose(id, error);
  }
}

void Client::Finish(Request& request, const Connection& connection) {
  const ResponseParser& response = connection.response();
  if (response.status() == 200) {
    request.error.reset();
    request.first_byte = connection.first_byte() - request.started;
    done_.push_back(&request);
    return;
  }
  const std::string code = CodeOf(response);
  Fail(request, Error(Named(code), request.tried + ": " + code), Transient(response.status(), code));
}

void Client::Lose(Id id, const ConnectionError& error) {
  const auto found = slots_.find(id);
  Request* request = found->second.request;
  const bool in_body = found->second.connection->response().in_body();
  slots_.erase(found);
  if (request != nullptr) {
    const bool untrusted = dynamic_cast<const UntrustedError*>(&error) != nullptr;
    const std::string what = request->tried + (in_body ? ": body broke off: " : ": ") + error.what();
    Fail(*request, Error(in_body ? "ShortBody" : "ConnectionFailed", what), !untrusted);
  }
}

void Client::Fail(Request& request, Error error, bool again) {
  request.error = std::move(error);
  if (!again || request.attempts >= kAttempts) {
    done_.push_back(&request);
    return;
  }
  // Up to 50 ms, then up to twice that, and so on.
  const auto most = std::min<std::chrono::nanoseconds>(25ms * (1U << request.attempts), config_.longest_backoff);
  retries_.push(
      {.at = Clock::now() + most * std::uniform_int_distribution(0, 1000)(random_) / 1000, .request = &request});
}

void Client::CloseSilent() {
  std::vector<Id> silent;
  for (const auto& [id, slot] : slots_) {
    if (slot.request != nullptr && Clock::now() - slot.connection->heard() > kSilence) {
      silent.push_back(id);
    }
  }
  for (const Id id : silent) {
    Lose(id, ConnectionError("nothing came for 8 s"));
  }
}

}  // namespace fanout
