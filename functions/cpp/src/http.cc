#include "http.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

namespace fanout {
namespace {

constexpr size_t kMaxText = 16U << 20U;  // 1,000 keys of 1,024 bytes, escaped, are 3 MB
constexpr size_t kMaxHead = 64U << 10U;
constexpr size_t kMaxLine = 1U << 10U;

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view Trim(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r");
  return start == std::string_view::npos ? "" : text.substr(start, text.find_last_not_of(" \t\r") + 1 - start);
}

template <typename Number>
bool ToNumber(std::string_view text, Number& number, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size() && !text.starts_with('-');
}

}  // namespace

void Text::Write(std::string_view chunk) {
  if (chunk.size() > kMaxText - bytes_.size()) {
    throw ConnectionError("a text of more than 16 MB");
  }
  bytes_ += chunk;
}

void ResponseParser::Begin(Sink& sink) {
  sink_ = &sink;
  state_ = State::kHead;
  head_.clear();
  text_.Reset();
}

bool ResponseParser::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kHead:
        bytes = TakeHead(bytes);
        break;
      case State::kSized:
        bytes = TakeBody(bytes, State::kDone);
        break;
      case State::kChunk:
        bytes = TakeBody(bytes, State::kChunkEnd);
        break;
      case State::kChunkSize:
      case State::kChunkEnd:
      case State::kTrailer:
        bytes = TakeLine(bytes);
        break;
      case State::kDone:
        throw ConnectionError("more bytes than announced");
    }
  }
  return state_ == State::kDone;
}

std::string_view ResponseParser::Header(std::string_view name) const {
  std::string_view rest = head_;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (const size_t colon = line.find(':'); SameName(line.substr(0, colon), name) && colon != std::string_view::npos) {
      return Trim(line.substr(colon + 1));
    }
  }
  return {};
}

std::string_view ResponseParser::TakeHead(std::string_view bytes) {
  const size_t before = head_.size();
  head_ += bytes.substr(0, kMaxHead);
  const size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (head_.size() >= kMaxHead) {
      throw ConnectionError("a head of 64 KB or more");
    }
    return {};
  }
  head_.resize(end + 2);
  ReadHead();
  return bytes.substr(end + 4 - before);
}

void ResponseParser::ReadHead() {
  if (!head_.starts_with("HTTP/1.1 ") || !ToNumber(std::string_view(head_).substr(9, 3), status_)) {
    throw ConnectionError("not HTTP/1.1");
  }
  if (status_ != 200) {
    sink_ = &text_;
  }
  last_ = SameName(Header("Connection"), "close");
  if (SameName(Header("Transfer-Encoding"), "chunked")) {
    state_ = State::kChunkSize;
  } else if (ToNumber(Header("Content-Length"), left_)) {
    state_ = left_ > 0 ? State::kSized : State::kDone;
  } else {
    throw ConnectionError("a body without a length");
  }
}

std::string_view ResponseParser::TakeBody(std::string_view bytes, State then) {
  const std::string_view part = bytes.substr(0, left_);
  sink_->Write(part);
  left_ -= part.size();
  if (left_ == 0) {
    state_ = then;
  }
  return bytes.substr(part.size());
}

std::string_view ResponseParser::TakeLine(std::string_view bytes) {
  const size_t end = bytes.find('\n');
  line_ += bytes.substr(0, end);
  if (line_.size() > kMaxLine) {
    throw ConnectionError("a chunk without a size");
  }
  if (end == std::string_view::npos) {
    return {};
  }
  EndLine();
  line_.clear();
  return bytes.substr(end + 1);
}

void ResponseParser::EndLine() {
  const std::string_view line = Trim(line_);
  if (state_ == State::kChunkSize) {
    if (!ToNumber(Trim(line.substr(0, line.find(';'))), left_, 16)) {
      throw ConnectionError("a chunk without a size");
    }
    state_ = left_ > 0 ? State::kChunk : State::kTrailer;
  } else if (state_ == State::kChunkEnd) {
    if (!line.empty()) {
      throw ConnectionError("a chunk longer than its size");
    }
    state_ = State::kChunkSize;
  } else if (line.empty()) {
    state_ = State::kDone;
  }
}

std::string Escape(std::string_view text, std::string_view keep) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string escaped;
  escaped.reserve(text.size());
  for (const char character : text) {
    const auto byte = static_cast<uint8_t>(character);
    const bool letter = (byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z';
    if (letter || (byte >= '0' && byte <= '9') || std::string_view("-._~").find(character) != std::string_view::npos ||
        keep.find(character) != std::string_view::npos) {
      escaped.push_back(character);
    } else {
      escaped.push_back('%');
      escaped.push_back(kDigits[byte >> 4U]);
      escaped.push_back(kDigits[byte & 0xFU]);
    }
  }
  return escaped;
}

std::string Unescape(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    uint8_t byte = 0;
    if (text[at] == '%' && at + 2 < text.size() && ToNumber(text.substr(at + 1, 2), byte, 16)) {
      plain.push_back(static_cast<char>(byte));
      at += 2;
    } else {
      plain.push_back(text[at] == '+' ? ' ' : text[at]);
    }
  }
  return plain;
}

}  // namespace fanout
