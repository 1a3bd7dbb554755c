#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace fanout {

// Takes a body's bytes, in order.
class Sink {
 public:
  virtual ~Sink() = default;

  // Forgets every byte: the body is read again from its start.
  virtual void Reset() = 0;
  virtual void Write(std::string_view chunk) = 0;
};

// What breaks HTTP, or the connection.
class ConnectionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A sink that keeps a listing, an event, or what S3 says about an error.
class Text : public Sink {
 public:
  void Reset() override { bytes_.clear(); }
  void Write(std::string_view chunk) override;

  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Parses one response of HTTP/1.1 after the other, from pieces of any size.
class ResponseParser {
 public:
  // Begins a response: its body goes to sink if its status is 200, and else into text().
  void Begin(Sink& sink);

  // Takes the next bytes, and says whether the response is whole. Throws ConnectionError.
  bool Feed(std::string_view bytes);

  [[nodiscard]] bool at_start() const { return state_ == State::kHead && head_.empty(); }
  [[nodiscard]] bool in_body() const { return state_ != State::kHead && state_ != State::kDone; }
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool last() const { return last_; }  // the connection takes no other request
  [[nodiscard]] const std::string& text() const { return text_.bytes(); }

  // Gives a field's value, without the space around it; empty: there is none. Its name is not case-sensitive.
  [[nodiscard]] std::string_view Header(std::string_view name) const;

 private:
  enum class State : uint8_t { kHead, kSized, kChunkSize, kChunk, kChunkEnd, kTrailer, kDone };

  std::string_view TakeHead(std::string_view bytes);
  std::string_view TakeBody(std::string_view bytes, State then);
  std::string_view TakeLine(std::string_view bytes);
  void EndLine();
  void ReadHead();

  Sink* sink_ = nullptr;
  State state_ = State::kDone;
  std::string head_;
  std::string line_;
  Text text_;
  uint64_t left_ = 0;
  int status_ = 0;
  bool last_ = false;
};

// Percent-encodes everything but the unreserved characters of RFC 3986, and those in keep.
std::string Escape(std::string_view text, std::string_view keep = "");

// Undoes Escape, and what a form does to a space. A broken escape stays as it is.
std::string Unescape(std::string_view text);

}  // namespace fanout
