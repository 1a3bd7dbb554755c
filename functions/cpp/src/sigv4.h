#pragma once

#include <array>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace fanout {

using Sha256Sum = std::array<uint8_t, 32>;

Sha256Sum Sha256(std::string_view bytes);
Sha256Sum HmacSha256(std::string_view key, std::string_view bytes);

// What a request is signed with.
struct Credentials {
  std::string key_id;
  std::string secret;
  std::string token;  // empty for those of a user
};

// Signs GET requests without a body (Signature Version 4,
// docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
class Signer {
 public:
  Signer(std::string region, Credentials credentials);

  // Gives the whole request. Path and query are escaped, and the query is sorted; now is in Unix seconds.
  std::string Sign(const std::string& authority, const std::string& path, const std::string& query, std::time_t now);

 private:
  void Tick(std::time_t second);

  std::string region_;
  Credentials credentials_;
  std::string names_;
  std::time_t second_ = -1;
  std::string stamp_;
  std::string scope_;  // of a day, as is the key
  std::string key_;
};

}  // namespace fanout
