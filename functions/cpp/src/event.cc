#include "event.h"

#include <charconv>
#include <map>

#include "error.h"
#include "json.h"

namespace fanout {
namespace {

Error Invalid(const std::string& what) { return {"InvalidEvent", "event: " + what}; }

template <typename T>
const T& As(const std::string& name, const json::Value& value, const char* type) {
  const T* got = std::get_if<T>(&value);
  if (got == nullptr) {
    throw Invalid(name + " must be " + type);
  }
  return *got;
}

const std::string& Text(const std::string& name, const json::Value& value) {
  return As<std::string>(name, value, "a string");
}

void SetBucket(Event& event, const std::string& name, const json::Value& value) {
  event.bucket = Text(name, value);
  if (event.bucket.find_first_of("/ ") != std::string::npos && !event.bucket.starts_with("arn:")) {
    throw Invalid(name + " " + json::Quote(event.bucket) + ": a name or an access point's ARN, without a path");
  }
}

void SetFind(Event& event, const std::string& name, const json::Value& value) {
  event.find = Text(name, value);
  if (const size_t size = event.find->size(); size < 1 || size > kMaxFindBytes) {
    throw Invalid("find of " + std::to_string(size) + " bytes: must be 1 to 1024, or null to count");
  }
}

void SetConcurrency(Event& event, const std::string& name, const json::Value& value) {
  const std::string& text = As<json::Number>(name, value, "a number").text;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > kMaxConcurrency) {
    throw Invalid("concurrency " + text + ": must be 1 to 1024");
  }
  event.concurrency = number;
}

void SetClient(Event& /*event*/, const std::string& name, const json::Value& value) {
  if (const std::string& client = Text(name, value); !client.empty() && client != kClient) {
    throw Invalid("client " + json::Quote(client) + ": must be " + std::string(kClient));
  }
}

void SetKeys(Event& event, const std::string& name, const json::Value& value) {
  event.keys.emplace();
  for (const json::Value& key : As<json::Array>(name, value, "an array")) {
    event.keys->push_back(Text(name, key));
    if (event.keys->back().empty()) {
      throw Invalid("keys contains an empty key");
    }
  }
}

void SetOnError(Event& event, const std::string& name, const json::Value& value) {
  const std::string& policy = Text(name, value);
  if (!policy.empty() && policy != "fail" && policy != "continue") {
    throw Invalid("on_error " + json::Quote(policy) + R"(: must be "fail" or "continue")");
  }
  event.go_on = policy == "continue";
}

using Setter = void (*)(Event&, const std::string&, const json::Value&);

const std::map<std::string_view, Setter>& Setters() {
  static const std::map<std::string_view, Setter> setters = {
      {"s3_bucket_name", SetBucket},
      {"folder", [](Event& event, const std::string& name, const json::Value& v) { event.folder = Text(name, v); }},
      {"find", SetFind},
      {"concurrency", SetConcurrency},
      {"client", SetClient},
      {"keys", SetKeys},
      {"on_error", SetOnError},
  };
  return setters;
}

}  // namespace

Event Event::Decode(std::string_view payload) {
  const json::Value document = json::Parse(payload);
  const auto* fields = std::get_if<json::Object>(&document);
  if (fields == nullptr) {
    throw Invalid("must be a JSON object");
  }
  Event event;
  for (const auto& [name, value] : *fields) {
    const auto setter = Setters().find(name);
    if (setter == Setters().end()) {
      throw Invalid("unknown field " + json::Quote(name));
    }
    if (!std::holds_alternative<std::monostate>(value)) {
      setter->second(event, name, value);
    }
  }
  if (event.bucket.empty()) {
    throw Invalid("s3_bucket_name is missing");
  }
  if (event.keys && !event.folder.empty()) {
    throw Invalid("keys and folder are mutually exclusive");
  }
  return event;
}

}  // namespace fanout
