/* Prints what a byte stream on standard input says, a line for each frame and each bad frame. */

#include "accepts.h"
#include "hydroear_bridge.h"

#include <inttypes.h>
#include <stdio.h>

int main(void)
{
    static uint8_t buffer[HB_MAX_PAYLOAD + HB_OVERHEAD], bytes[4096];
    hb_decoder decoder;
    size_t count;
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    while ((count = fread(bytes, 1, sizeof bytes, stdin)) > 0) {
        for (size_t at = 0; at < count;) {
            hb_received received;
            at += hb_receive(&decoder, &bytes[at], (uint32_t)(count - at), &received);
            if (received.outcome == HB_FRAME && accepts(&received.frame)) {
                const hb_header *h = &received.frame.header;
                printf("%u %u %u %" PRIu32 " %" PRIu64 "\n", h->type, h->flags, h->stream, h->sequence,
                       h->device_time_us);
            } else if (received.outcome != HB_NOTHING) {
                puts("bad");
            }
        }
    }
    return 0;
}
