#include "sigv4.h"

#include <openssl/evp.h>

#include <memory>
#include <new>
#include <utility>

namespace fanout {
namespace {

constexpr std::string_view kEmptySha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr size_t kBlock = 64;  // bytes of SHA-256

// Hashes two texts as one. The algorithm is fetched once: OpenSSL 3 takes longer for that than for a short text.
Sha256Sum Hash(std::string_view first, std::string_view second) {
  static const std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> kind(EVP_MD_fetch(nullptr, "SHA256", nullptr),
                                                                    EVP_MD_free);
  thread_local const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Sha256Sum sum{};
  if (EVP_DigestInit_ex2(context.get(), kind.get(), nullptr) != 1 ||
      EVP_DigestUpdate(context.get(), first.data(), first.size()) != 1 ||
      EVP_DigestUpdate(context.get(), second.data(), second.size()) != 1 ||
      EVP_DigestFinal_ex(context.get(), sum.data(), nullptr) != 1) {
    throw std::bad_alloc();
  }
  return sum;
}

std::string_view View(const Sha256Sum& sum) {
  return {reinterpret_cast<const char*>(sum.data()), sum.size()};  // NOLINT(*-reinterpret-cast): bytes are bytes
}

std::string Hex(const Sha256Sum& sum) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : sum) {
    text.push_back(kDigits[byte >> 4U]);
    text.push_back(kDigits[byte & 0xFU]);
  }
  return text;
}

std::string Format(const char* format, std::time_t second) {
  std::tm utc{};
  std::array<char, 32> text{};
  gmtime_r(&second, &utc);
  return {text.data(), std::strftime(text.data(), text.size(), format, &utc)};
}

}  // namespace

Sha256Sum Sha256(std::string_view bytes) { return Hash(bytes, ""); }

Sha256Sum HmacSha256(std::string_view key, std::string_view bytes) {
  std::string inner(key.size() > kBlock ? View(Sha256(key)) : key);
  inner.resize(kBlock);
  std::string outer = inner;
  for (size_t at = 0; at < kBlock; ++at) {
    inner[at] = static_cast<char>(static_cast<uint8_t>(inner[at]) ^ 0x36U);
    outer[at] = static_cast<char>(static_cast<uint8_t>(outer[at]) ^ 0x5CU);
  }
  return Hash(outer, View(Hash(inner, bytes)));
}

Signer::Signer(std::string region, Credentials credentials)
    : region_(std::move(region)), credentials_(std::move(credentials)), names_("host;x-amz-content-sha256;x-amz-date") {
  if (!credentials_.token.empty()) {
    names_ += ";x-amz-security-token";
  }
}

std::string Signer::Sign(const std::string& authority, const std::string& path, const std::string& query,
                         std::time_t now) {
  if (now != second_) {
    Tick(now);
  }
  const auto fields = [&](std::string_view end) {
    std::string text = "x-amz-content-sha256:";
    text.append(kEmptySha256).append(end).append("x-amz-date:").append(stamp_).append(end);
    if (!credentials_.token.empty()) {
      text.append("x-amz-security-token:").append(credentials_.token).append(end);
    }
    return text;
  };
  std::string canonical =
      "GET\n" + path + "\n" + query + "\nhost:" + authority + "\n" + fields("\n") + "\n" + names_ + "\n";
  canonical += kEmptySha256;
  const std::string text = "AWS4-HMAC-SHA256\n" + stamp_ + "\n" + scope_ + "\n" + Hex(Sha256(canonical));
  return "GET " + path + (query.empty() ? "" : "?" + query) + " HTTP/1.1\r\nHost: " + authority +
         "\r\nUser-Agent: fanout\r\n" + fields("\r\n") +
         "Authorization: AWS4-HMAC-SHA256 Credential=" + credentials_.key_id + "/" + scope_ +
         ", SignedHeaders=" + names_ + ", Signature=" + Hex(HmacSha256(key_, text)) + "\r\n\r\n";
}

void Signer::Tick(std::time_t second) {
  second_ = second;
  stamp_ = Format("%Y%m%dT%H%M%SZ", second);
  const std::string day = stamp_.substr(0, 8);
  const std::string scope = day + "/" + region_ + "/s3/aws4_request";
  if (scope == scope_) {
    return;
  }
  scope_ = scope;
  key_ = "AWS4" + credentials_.secret;
  for (const std::string_view part :
       {std::string_view(day), std::string_view(region_), std::string_view("s3"), std::string_view("aws4_request")}) {
    key_ = View(HmacSha256(key_, part));
  }
}

}  // namespace fanout
