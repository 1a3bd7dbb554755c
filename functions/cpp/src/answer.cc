#include "answer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "crc32c.h"
#include "json.h"

namespace fanout {
namespace {

// memmem has vector and two-way searches; std::string_view::find compares at every first byte.
bool Contains(std::string_view text, std::string_view needle) {
  return memmem(text.data(), text.size(), needle.data(), needle.size()) != nullptr;
}

}  // namespace

uint64_t Fingerprint(std::string_view key, uint32_t body_crc) {
  uint64_t x = (uint64_t{ExtendCrc32c(0, key)} << 32U | body_crc) + 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30U) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27U) * 0x94D049BB133111EBU;
  return x ^ x >> 31U;
}

void Body::Reset() {
  tail_.clear();
  size_ = 0;
  crc_ = 0;
  found_ = false;
}

void Body::Write(std::string_view chunk) {
  size_ += chunk.size();
  crc_ = ExtendCrc32c(crc_, chunk);
  if (needle_.empty() || found_) {
    return;
  }
  const size_t keep = needle_.size() - 1;
  if (!tail_.empty()) {
    tail_.append(chunk.substr(0, keep));
    found_ = Contains(tail_, needle_);
  }
  if (chunk.size() >= keep) {
    found_ = found_ || Contains(chunk, needle_);
    tail_ = chunk.substr(chunk.size() - keep);
  } else if (tail_.empty()) {
    tail_ = chunk;
  } else {
    tail_.erase(0, tail_.size() - std::min(keep, tail_.size()));
  }
}

void Latencies::Add(std::chrono::nanoseconds sample) {
  const auto us = static_cast<uint64_t>(std::max<int64_t>(sample.count() / 1000, 0));
  const auto width = static_cast<uint64_t>(std::bit_width(us));
  const uint64_t exponent = width > 6 ? width - 6 : 0;  // us >> exponent is 32 to 63, or less than 32 if it is 0
  ++buckets_[exponent * 32 + (us >> exponent)];
  ++count_;
}

std::optional<double> Latencies::PercentileMs(uint64_t percent, uint64_t at_least) const {
  if (count_ == 0 || count_ < at_least) {
    return std::nullopt;
  }
  const uint64_t rank = (count_ - 1) * percent / 100;
  uint64_t seen = 0;
  uint64_t bucket = 0;
  for (const auto& [at, samples] : buckets_) {
    bucket = at;
    seen += samples;
    if (seen > rank) {
      break;
    }
  }
  if (bucket < 64) {
    return static_cast<double>(bucket) / 1000;
  }
  return (static_cast<double>(32 + bucket % 32) + 0.5) * static_cast<double>(uint64_t{1} << (bucket / 32 - 1)) / 1000;
}

void Total::Add(uint64_t index, const std::string& key, const Body& body, std::chrono::nanoseconds first) {
  ++objects;
  bytes += body.size();
  digest += Fingerprint(key, body.crc());
  first_byte.Add(first);
  if (body.found() && (!match_ || index < match_->index)) {
    match_ = {.index = index, .text = key};
  }
}

void Total::Fail(uint64_t index, const std::string& key, const Error& error) {
  ++errors;
  if (!failure_ || index < failure_->index) {
    failure_ = {.index = index, .text = json::Quote(key) + ": " + error.what()};
  }
}

std::string Total::Result(bool searched) const {
  if (!searched) {
    return std::to_string(objects);
  }
  return match_ ? match_->text : "None";
}

std::optional<std::string> Total::Failure() const {
  if (!failure_) {
    return std::nullopt;
  }
  return std::to_string(errors) + " of " + std::to_string(listed) + " objects failed; first " + failure_->text;
}

}  // namespace fanout
