#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace fanout {

// What an invocation, or the read of one object, ends with. The type is what a caller can act on (Lambda's errorType:
// InvalidEvent, NoSuchBucket, AccessDenied, ListFailed, ObjectReadFailed, DeadlineNear, ShortBody, or S3's own code);
// the message says what was tried, on what.
class Error : public std::runtime_error {
 public:
  Error(std::string type, const std::string& message) : std::runtime_error(message), type_(std::move(type)) {}

  [[nodiscard]] const std::string& type() const { return type_; }

 private:
  std::string type_;
};

}  // namespace fanout
