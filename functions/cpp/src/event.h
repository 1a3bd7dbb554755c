#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fanout {

inline constexpr int kMaxConcurrency = 1024;   // objects that one invocation reads at a time, at most
inline constexpr size_t kMaxFindBytes = 1024;  // of the string to search for
inline constexpr std::string_view kClient = "lean";

// What an invocation is asked for. What is missing is left to the function's own settings.
struct Event {
  std::string bucket;
  std::string folder;               // key prefix; empty: the whole bucket
  std::optional<std::string> find;  // none: count the objects
  std::optional<int> concurrency;
  std::optional<std::vector<std::string>> keys;  // read these, in this order, instead of listing
  bool go_on = false;                            // on_error: "continue": count what cannot be read

  // Reads one event. Throws Error InvalidEvent for what is not JSON, an unknown field, a missing bucket, a value of a
  // wrong type or out of range, and two settings that contradict each other. null is the same as left out.
  static Event Decode(std::string_view payload);
};

}  // namespace fanout
