#pragma once

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http.h"

namespace fanout {

using Clock = std::chrono::steady_clock;

// A certificate that is not trusted: trying again does not help.
class UntrustedError : public ConnectionError {
 public:
  using ConnectionError::ConnectionError;
};

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// One connection, which does not block: over TLS if it has a context. Its owner watches fd(), and calls Advance
// whenever something happens there (EPOLLET, for reading and writing).
class Connection {
 public:
  // Begins to connect. Throws ConnectionError.
  Connection(const Address& address, SSL_CTX* context, const std::string& host);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool open() const { return state_ == State::kOpen; }
  [[nodiscard]] bool busy() const { return busy_; }
  [[nodiscard]] Clock::time_point heard() const { return heard_; }            // the last byte, or the request
  [[nodiscard]] Clock::time_point first_byte() const { return first_byte_; }  // of the response
  [[nodiscard]] const ResponseParser& response() const { return parser_; }

  // Asks as soon as the connection is open. The response's body goes to sink.
  void Ask(std::string request, Sink& sink);

  // Goes as far as it can without waiting, and says whether a response is whole. Throws ConnectionError if the
  // connection is of no more use.
  bool Advance();

 private:
  enum class State : uint8_t { kConnecting, kHandshake, kOpen };

  void FinishConnecting();
  bool ShakeHands();
  void Send();
  bool Receive();
  size_t Read(char* to, size_t most);  // 0: nothing is there

  std::unique_ptr<SSL, decltype(&SSL_free)> tls_;
  int fd_ = -1;
  State state_ = State::kConnecting;
  std::string request_;
  bool busy_ = false;
  ResponseParser parser_;
  Clock::time_point heard_ = Clock::now();
  Clock::time_point first_byte_;
};

}  // namespace fanout
