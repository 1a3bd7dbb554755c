#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "client.h"

namespace fanout {

// What the function is deployed with.
struct Settings {
  int concurrency = 64;  // objects read at a time, where an event does not say: 16 rounds of latency for 1,000
  int memory_mb = 0;     // 0: not in Lambda
  std::string bucket;    // that events are expected to name; empty: any

  // Reads CONCURRENCY ("auto" or a number), CLIENT, BUCKET and Lambda's own AWS_LAMBDA_FUNCTION_MEMORY_SIZE. Throws
  // Error InvalidConfiguration, with the variable's name, value and what is allowed.
  static Settings Read(const Environment& getenv);
};

// Answers events, one at a time. One serves a process.
class Fetcher {
 public:
  // Opens the client and, where the bucket is known, its connections. It is for INIT, where a small function has a
  // whole vCPU.
  explicit Fetcher(const Environment& getenv);

  // Answers one event within so much time. Throws Error; none of an object's failures is dropped.
  std::string Handle(std::string_view payload, std::chrono::milliseconds left);

 private:
  Settings settings_;
  Client client_;
  bool cold_ = true;
};

// Gives how long before the time limit to stop, so that an answer can still be sent: a tenth of what is left, at most
// 1 s, but never less than winding up takes on this memory's share of a CPU (100 ms of CPU time, in 200 ms to 1.5 s),
// nor more than half.
std::chrono::milliseconds Margin(std::chrono::milliseconds left, int memory_mb);

}  // namespace fanout
