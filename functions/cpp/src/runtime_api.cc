#include "runtime_api.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

namespace fanout {
namespace {

constexpr std::string_view kPath = "/2018-06-01/runtime/invocation/";

}  // namespace

RuntimeApi::RuntimeApi(const std::string& address) : address_(address) {
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  const std::string port = colon == std::string::npos ? "80" : address.substr(colon + 1);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); code != 0) {
    throw ConnectionError("AWS_LAMBDA_RUNTIME_API=" + address + ": " + gai_strerror(code));
  }
  socket_ = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = socket_ >= 0 && connect(socket_, found->ai_addr, found->ai_addrlen) == 0;
  freeaddrinfo(found);
  if (!connected) {
    close(socket_);
    throw ConnectionError("AWS_LAMBDA_RUNTIME_API=" + address + ": cannot connect");
  }
}

RuntimeApi::~RuntimeApi() { close(socket_); }

Invocation RuntimeApi::Next() {
  Exchange("GET " + std::string(kPath) + "next HTTP/1.1\r\nHost: " + address_ + "\r\n\r\n");
  if (parser_.status() != 200) {
    throw ConnectionError("next event: HTTP " + std::to_string(parser_.status()) + ": " + parser_.text());
  }
  Invocation invocation;
  invocation.id = parser_.Header("Lambda-Runtime-Aws-Request-Id");
  invocation.payload = body_.bytes();
  const std::string_view deadline = parser_.Header("Lambda-Runtime-Deadline-Ms");
  int64_t unix_ms = 0;
  std::from_chars(deadline.data(), deadline.data() + deadline.size(), unix_ms);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  invocation.left =
      std::max(std::chrono::milliseconds(unix_ms) - std::chrono::duration_cast<std::chrono::milliseconds>(now),
               std::chrono::milliseconds::zero());
  return invocation;
}

void RuntimeApi::Answer(const Invocation& invocation, std::string_view outcome, const std::string& body) {
  Exchange("POST " + std::string(kPath) + invocation.id + "/" + std::string(outcome) +
           " HTTP/1.1\r\nHost: " + address_ +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
}

void RuntimeApi::Exchange(const std::string& request) {
  for (std::string_view rest = request; !rest.empty();) {
    const ssize_t sent = send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      throw ConnectionError("Runtime API: connection closed");
    }
    rest.remove_prefix(static_cast<size_t>(sent));
  }
  std::array<char, 1U << 16U> buffer;  // NOLINT(*-member-init): it is written before it is read
  body_.Reset();
  parser_.Begin(body_);
  while (true) {
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got <= 0) {
      throw ConnectionError("Runtime API: connection closed");
    }
    if (parser_.Feed({buffer.data(), static_cast<size_t>(got)})) {
      return;
    }
  }
}

}  // namespace fanout
