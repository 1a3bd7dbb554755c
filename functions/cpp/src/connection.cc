#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace fanout {
namespace {

constexpr size_t kRecord = 16U << 10U;  // a TLS record is no longer

ConnectionError SystemError(const std::string& what, int number) {
  return ConnectionError{what + ": " + std::strerror(number)};  // NOLINT(concurrency-mt-unsafe): there is one thread
}

}  // namespace

Connection::Connection(const Address& address, SSL_CTX* context, const std::string& host)
    : tls_(context != nullptr ? SSL_new(context) : nullptr, SSL_free),
      fd_(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) {
    throw SystemError("open a socket", errno);
  }
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto* where =
      reinterpret_cast<const sockaddr*>(&address.storage);  // NOLINT(*-reinterpret-cast): as it is meant
  if (connect(fd_, where, address.size) != 0 && errno != EINPROGRESS) {
    const int number = errno;
    close(fd_);
    throw SystemError("connect to " + host, number);
  }
  if (tls_) {
    SSL_set_fd(tls_.get(), fd_);
    SSL_set_tlsext_host_name(tls_.get(), host.c_str());
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls_.get()), host.c_str()) != 1) {
      SSL_set1_host(tls_.get(), host.c_str());
    }
  }
}

Connection::~Connection() { close(fd_); }

void Connection::Ask(std::string request, Sink& sink) {
  request_ = std::move(request);
  busy_ = true;
  heard_ = Clock::now();
  parser_.Begin(sink);
  if (open()) {
    Send();
  }
}

bool Connection::Advance() {
  if (state_ == State::kConnecting) {
    FinishConnecting();
  }
  if (state_ == State::kHandshake && !ShakeHands()) {
    return false;
  }
  return open() && Receive();
}

void Connection::FinishConnecting() {
  int number = 0;
  socklen_t size = sizeof number;
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &number, &size);
  if (number != 0) {
    throw SystemError("connect", number);
  }
  // NOLINTNEXTLINE(*-reinterpret-cast): as it is meant
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    return;  // not yet
  }
  state_ = State::kHandshake;
}

bool Connection::ShakeHands() {
  if (tls_) {
    ERR_clear_error();
    const int result = SSL_connect(tls_.get());
    if (result != 1) {
      const int reason = SSL_get_error(tls_.get(), result);
      if (reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE) {
        return false;
      }
      if (const long verified = SSL_get_verify_result(tls_.get()); verified != X509_V_OK) {
        throw UntrustedError(std::string("certificate not trusted: ") + X509_verify_cert_error_string(verified));
      }
      throw ConnectionError("TLS handshake failed");
    }
  }
  state_ = State::kOpen;
  if (busy_) {
    Send();
  }
  return true;
}

void Connection::Send() {
  const size_t size = request_.size();
  ssize_t sent = 0;
  if (tls_) {
    ERR_clear_error();
    sent = SSL_write(tls_.get(), request_.data(), static_cast<int>(size));
  } else {
    sent = send(fd_, request_.data(), size, MSG_NOSIGNAL);
  }
  if (std::cmp_not_equal(sent, size)) {  // a buffer of many times its size takes it whole
    throw ConnectionError("send a request: connection closed");
  }
}

size_t Connection::Read(char* to, size_t most) {
  if (!tls_) {
    const ssize_t got = recv(fd_, to, most, 0);
    if (got > 0) {
      return static_cast<size_t>(got);
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      return 0;
    }
    throw got == 0 ? ConnectionError("closed by the other side") : SystemError("read", errno);
  }
  ERR_clear_error();
  const int got = SSL_read(tls_.get(), to, static_cast<int>(most));
  if (got > 0) {
    return static_cast<size_t>(got);
  }
  switch (SSL_get_error(tls_.get(), got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return 0;
    default:
      throw ConnectionError("closed by the other side");
  }
}

bool Connection::Receive() {
  std::array<char, kRecord> buffer;  // NOLINT(*-member-init): it is written before it is read
  while (const size_t size = Read(buffer.data(), buffer.size())) {
    heard_ = Clock::now();
    if (!busy_) {
      throw ConnectionError("nobody has asked");
    }
    if (parser_.at_start()) {
      first_byte_ = heard_;
    }
    if (parser_.Feed({buffer.data(), size})) {
      busy_ = false;
      return true;
    }
  }
  return false;
}

}  // namespace fanout
