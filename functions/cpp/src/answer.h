#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "error.h"
#include "http.h"

namespace fanout {

// Gives one object's share of the digest: a sum modulo 2^64, which does not depend on the order. The finalizer of
// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) ties a key to its body: a plain sum would not see two bodies swapped.
uint64_t Fingerprint(std::string_view key, uint32_t body_crc);

// The body being read: its length, its CRC-32C, and whether it holds the needle. It takes chunks of any size, and
// keeps less than the needle's length of them.
class Body : public Sink {
 public:
  // Searches for needle, which outlives this; empty: only counts.
  explicit Body(std::string_view needle) : needle_(needle) {}

  void Reset() override;
  void Write(std::string_view chunk) override;

  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] uint32_t crc() const { return crc_; }
  [[nodiscard]] bool found() const { return found_; }

 private:
  std::string_view needle_;
  std::string tail_;
  uint64_t size_ = 0;
  uint32_t crc_ = 0;
  bool found_ = false;
};

// A histogram in constant memory. Its buckets are 1/32 of an octave of microseconds: off by at most 3.2%.
class Latencies {
 public:
  void Add(std::chrono::nanoseconds sample);

  // Gives the middle of the percentile's bucket in milliseconds; nothing under at_least samples.
  [[nodiscard]] std::optional<double> PercentileMs(uint64_t percent, uint64_t at_least) const;

 private:
  std::map<uint64_t, uint64_t> buckets_;
  uint64_t count_ = 0;
};

// What an invocation has read so far, and what not.
class Total {
 public:
  uint64_t listed = 0;
  uint64_t objects = 0;
  uint64_t bytes = 0;  // of those objects
  uint64_t errors = 0;
  uint64_t retries = 0;  // GET attempts beyond the first of each object
  uint64_t digest = 0;
  std::chrono::nanoseconds listing{};  // spent waiting for pages
  Latencies first_byte;

  // Counts in an object that was read whole; index is its place in list order.
  void Add(uint64_t index, const std::string& key, const Body& body, std::chrono::nanoseconds first);

  // Counts in an object that could not be read.
  void Fail(uint64_t index, const std::string& key, const Error& error);

  // Gives the first matching key in list order, "None", or the count of objects read.
  [[nodiscard]] std::string Result(bool searched) const;

  // Says what failed first in list order; nothing if nothing did.
  [[nodiscard]] std::optional<std::string> Failure() const;

 private:
  struct Earliest {
    uint64_t index;
    std::string text;
  };
  std::optional<Earliest> match_;
  std::optional<Earliest> failure_;
};

}  // namespace fanout
