/* Little-endian fields, for the codec's own use. */
#ifndef HYDROEAR_BRIDGE_FIELDS_H
#define HYDROEAR_BRIDGE_FIELDS_H

#include <stdint.h>

#define HB_HEADER_SIZE 16U

static inline void set_le(uint8_t *bytes, uint64_t value, uint32_t size)
{
    uint64_t rest = value;
    for (uint32_t i = 0U; i < size; i++) {
        bytes[i] = (uint8_t)(rest & 0xFFU);
        rest >>= 8;
    }
}

static inline uint64_t get_le(const uint8_t *bytes, uint32_t size)
{
    uint64_t value = 0U;
    for (uint32_t i = size; i > 0U; i--) {
        value = (value << 8) | bytes[i - 1U];
    }
    return value;
}

#endif
