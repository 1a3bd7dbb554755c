#include "crc32c.h"

#include <array>
#include <cstring>

#ifdef __x86_64__
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace fanout {
namespace {

constexpr std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0);  // the polynomial, reflected
    }
    table.at(i) = crc;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = MakeTable();

uint64_t Load64(const char* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) {
  uint64_t state = ~crc;
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    state = _mm_crc32_u64(state, Load64(bytes.data()));
  }
  auto rest = static_cast<uint32_t>(state);
  for (const char byte : bytes) {
    rest = _mm_crc32_u8(rest, static_cast<uint8_t>(byte));
  }
  return ~rest;
}

const bool kHasInstruction = __builtin_cpu_supports("sse4.2");
#elif defined(__ARM_FEATURE_CRC32)
uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) {
  uint32_t state = ~crc;
  for (; bytes.size() >= sizeof(uint64_t); bytes.remove_prefix(sizeof(uint64_t))) {
    state = __crc32cd(state, Load64(bytes.data()));
  }
  for (const char byte : bytes) {
    state = __crc32cb(state, static_cast<uint8_t>(byte));
  }
  return ~state;
}

constexpr bool kHasInstruction = true;
#else
uint32_t ExtendByInstruction(uint32_t crc, std::string_view bytes) { return ExtendCrc32cPortably(crc, bytes); }

constexpr bool kHasInstruction = false;
#endif

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes) {
  return kHasInstruction ? ExtendByInstruction(crc, bytes) : ExtendCrc32cPortably(crc, bytes);
}

uint32_t ExtendCrc32cPortably(uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  for (const char byte : bytes) {
    crc = (crc >> 8U) ^ kTable.at((crc ^ static_cast<uint8_t>(byte)) & 0xFFU);
  }
  return ~crc;
}

}  // namespace fanout
