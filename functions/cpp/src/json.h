#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fanout::json {

struct Value;

// A number's text: an event's integers are not to go through a double.
struct Number {
  std::string text;
};

using Array = std::vector<Value>;
using Object = std::map<std::string, Value, std::less<>>;

struct Value : std::variant<std::monostate, bool, Number, std::string, Array, Object> {
  using variant::variant;
};

// Parses one document of JSON (RFC 8259). Of fields with the same name, the last counts. Throws Error InvalidEvent for
// anything else, for text that is not UTF-8, half of a surrogate pair, and values nested more than 64 deep.
Value Parse(std::string_view text);

// Gives a text as a JSON string, in quotes.
std::string Quote(std::string_view text);

}  // namespace fanout::json
