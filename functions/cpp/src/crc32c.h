#pragma once

#include <cstdint>
#include <string_view>

namespace fanout {

// Continues a CRC-32C (Castagnoli), which begins with 0, by the processor's instruction where it has one.
uint32_t ExtendCrc32c(uint32_t crc, std::string_view bytes);

// The same by a table, on any processor.
uint32_t ExtendCrc32cPortably(uint32_t crc, std::string_view bytes);

}  // namespace fanout
