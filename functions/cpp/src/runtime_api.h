#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "http.h"

namespace fanout {

// An event, as Lambda hands it out.
struct Invocation {
  std::string id;
  std::string payload;
  std::chrono::milliseconds left{};  // until the time limit
};

// Lambda's Runtime API (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), over one connection. Its errors are
// ConnectionErrors: without the API there is nothing to go on with.
class RuntimeApi {
 public:
  // Connects to HOST:PORT.
  explicit RuntimeApi(const std::string& address);
  ~RuntimeApi();
  RuntimeApi(const RuntimeApi&) = delete;
  RuntimeApi& operator=(const RuntimeApi&) = delete;

  // Waits for the next event, however long that takes.
  Invocation Next();

  // Answers an event: its outcome is "response" or "error".
  void Answer(const Invocation& invocation, std::string_view outcome, const std::string& body);

 private:
  void Exchange(const std::string& request);

  std::string address_;
  int socket_ = -1;
  ResponseParser parser_;
  Text body_;
};

}  // namespace fanout
