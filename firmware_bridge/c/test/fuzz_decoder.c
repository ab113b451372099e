/* libFuzzer: any bytes, whole and in pieces, and as a payload of each type. Link with -fsanitize=fuzzer. */

#include "accepts.h"
#include "hydroear_bridge.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t digest(const uint8_t *data, uint32_t size, uint32_t piece)
{
    static uint8_t buffer[1000];
    hb_decoder decoder;
    uint32_t crc = 0;
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    for (uint32_t at = 0; at < size;) {
        hb_received received;
        at += hb_receive(&decoder, &data[at], piece < size - at ? piece : size - at, &received);
        if (received.outcome == HB_FRAME) {
            const bool accepted = accepts(&received.frame);
            crc = hb_crc32(crc, received.frame.payload, received.frame.size);
            crc = hb_crc32(crc, &accepted, sizeof accepted);
        } else if (received.outcome == HB_BAD) {
            crc = hb_crc32(crc, "bad", 3U);
        }
    }
    return crc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 0U) {
        const hb_frame frame = {{.type = data[0]}, &data[1], (uint32_t)size - 1U};
        (void)accepts(&frame);
        const uint32_t whole = digest(data, (uint32_t)size, (uint32_t)size);
        if (digest(data, (uint32_t)size, 1U) != whole || digest(data, (uint32_t)size, 1U + data[0]) != whole) {
            abort();
        }
    }
    return 0;
}
