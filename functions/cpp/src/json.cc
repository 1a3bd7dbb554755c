#include "json.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdio>

#include "error.h"

namespace fanout::json {
namespace {

constexpr int kMaxDepth = 64;

// How many bytes of UTF-8 a text begins with make up one character; 0: it is not UTF-8 (RFC 3629).
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t at) { return at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0}; };
  const auto continues = [&](size_t at) { return (byte(at) & 0xC0U) == 0x80U; };
  const uint8_t first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first < 0xE0) {
    return continues(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first < 0xF0) {
    const bool allowed = (first != 0xE0 || byte(1) >= 0xA0) && (first != 0xED || byte(1) < 0xA0);  // no surrogates
    return allowed && continues(1) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first < 0xF5) {
    const bool allowed = (first != 0xF0 || byte(1) >= 0x90) && (first != 0xF4 || byte(1) < 0x90);
    return allowed && continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

void AppendUtf8(std::string& to, uint32_t code) {
  const auto put = [&](uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
    return;
  }
  if (code < 0x800) {
    put(0xC0U | code >> 6U);
  } else {
    if (code < 0x10000) {
      put(0xE0U | code >> 12U);
    } else {
      put(0xF0U | code >> 18U);
      put(0x80U | (code >> 12U & 0x3FU));
    }
    put(0x80U | (code >> 6U & 0x3FU));
  }
  put(0x80U | (code & 0x3FU));
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value Document() {
    Value value = ParseValue(0);
    SkipSpace();
    if (at_ != text_.size()) {
      Fail("text after the end");
    }
    return value;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error("InvalidEvent", "event: not JSON: " + what + " at byte " + std::to_string(at_));
  }

  [[nodiscard]] char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void SkipSpace() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool Take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) {
      return false;
    }
    at_ += word.size();
    return true;
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxDepth
  Value ParseValue(int depth) {
    if (depth > kMaxDepth) {
      Fail("nested too deep");
    }
    SkipSpace();
    switch (Peek()) {
      case '{':
        return ParseObject(depth);
      case '[':
        return ParseArray(depth);
      case '"':
        return ParseString();
      default:
        break;
    }
    if (Take("null")) {
      return {};
    }
    if (Take("true")) {
      return true;
    }
    if (Take("false")) {
      return false;
    }
    return ParseNumber();
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxDepth
  Value ParseObject(int depth) {
    Object object;
    Take("{");
    SkipSpace();
    if (Take("}")) {
      return object;
    }
    while (true) {
      SkipSpace();
      if (Peek() != '"') {
        Fail("wanted a field's name");
      }
      std::string name = ParseString();
      SkipSpace();
      if (!Take(":")) {
        Fail("wanted :");
      }
      object.insert_or_assign(std::move(name), ParseValue(depth + 1));
      SkipSpace();
      if (Take("}")) {
        return object;
      }
      if (!Take(",")) {
        Fail("wanted , or }");
      }
    }
  }

  // NOLINTNEXTLINE(misc-no-recursion): bounded by kMaxDepth
  Value ParseArray(int depth) {
    Array array;
    Take("[");
    SkipSpace();
    if (Take("]")) {
      return array;
    }
    while (true) {
      array.push_back(ParseValue(depth + 1));
      SkipSpace();
      if (Take("]")) {
        return array;
      }
      if (!Take(",")) {
        Fail("wanted , or ]");
      }
    }
  }

  size_t SkipDigits() {
    const size_t start = at_;
    at_ = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    return at_ - start;
  }

  Value ParseNumber() {
    const size_t start = at_;
    Take("-");
    if (!Take("0") && SkipDigits() == 0) {
      Fail("wanted a value");
    }
    if (Take(".") && SkipDigits() == 0) {
      Fail("wanted a digit");
    }
    if (Take("e") || Take("E")) {
      if (!Take("+")) {
        Take("-");
      }
      if (SkipDigits() == 0) {
        Fail("wanted a digit");
      }
    }
    return Number{std::string(text_.substr(start, at_ - start))};
  }

  std::string ParseString() {
    std::string string;
    Take("\"");
    while (!Take("\"")) {
      if (at_ == text_.size()) {
        Fail("a string without an end");
      }
      if (Take("\\")) {
        ParseEscape(string);
        continue;
      }
      const size_t length = CharacterLength(text_.substr(at_));
      if (length == 0 || static_cast<uint8_t>(Peek()) < 0x20) {
        Fail("a string with a control character, or not UTF-8");
      }
      string.append(text_, at_, length);
      at_ += length;
    }
    return string;
  }

  void ParseEscape(std::string& to) {
    constexpr std::string_view kEscapes = "\"\\/bfnrt";
    constexpr std::string_view kMeaning = "\"\\/\b\f\n\r\t";
    if (Take("u")) {
      uint32_t code = ParseHex();
      if (code >= 0xD800 && code < 0xDC00 && Take("\\u")) {
        const uint32_t low = ParseHex();
        code = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00) : 0xD800;
      }
      if (code >= 0xD800 && code < 0xE000) {
        Fail("half of a surrogate pair");
      }
      AppendUtf8(to, code);
      return;
    }
    const size_t escape = kEscapes.find(Peek());
    if (escape == std::string_view::npos) {
      Fail("an unknown escape");
    }
    to.push_back(kMeaning[escape]);
    ++at_;
  }

  uint32_t ParseHex() {
    const std::string_view digits = text_.substr(at_, 4);
    uint32_t code = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc() || end != digits.data() + 4) {
      Fail("wanted four hexadecimal digits");
    }
    at_ += 4;
    return code;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Value Parse(std::string_view text) { return Parser(text).Document(); }

std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') {
      quoted.push_back('\\');
      quoted.push_back(character);
    } else if (static_cast<uint8_t>(character) < 0x20) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(character));
      quoted += escape.data();
    } else {
      quoted.push_back(character);
    }
  }
  return quoted + "\"";
}

}  // namespace fanout::json
