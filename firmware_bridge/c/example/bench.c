/*
 * Counts instructions of the codec, a sample: run it in QEMU with -icount shift=0, where each takes a nanosecond, and
 * -semihosting, by which it stops.
 */
#include "board.h"
#include "hydroear_bridge.h"
#include "pipe.h"

#define COUNT 320U
#define FRAMES 500U

static void print(const char *text)
{
    uint32_t count = 0U;
    while (text[count] != '\0') {
        line_ring[(board_head() + count) % LINE_RING] = (uint8_t)text[count];
        count++;
    }
    board_send(count);
}

static void report(const char *what, uint64_t duration_us)
{
    const uint32_t instructions = (uint32_t)((duration_us * 1000U) / ((uint64_t)COUNT * FRAMES));
    char digits[] = "   ";
    uint32_t rest = instructions;
    for (uint32_t place = 3U; (place > 0U) && (rest > 0U); place--) {
        digits[place - 1U] = (char)('0' + (rest % 10U));
        rest /= 10U;
    }
    print(what);
    print(digits);
    print(" instructions a sample of 16 bits\n");
}

static void stop(void)
{
    /* Semihosting, operation SYS_EXIT with reason ADP_Stopped_ApplicationExit. */
    register uint32_t operation __asm("r0") = 0x18U;
    register uint32_t reason __asm("r1") = 0x20026U;
    __asm volatile("bkpt 0xAB" : : "r"(operation), "r"(reason) : "memory");
}

int main(void)
{
    static int16_t samples[COUNT];
    static uint8_t wire[HB_WIRE_SIZE(2U * COUNT + 24U)], buffer[2048];
    const hb_header header = {.type = HB_AUDIO, .stream = 1U};
    const hb_audio audio = {.rate_millihz = 16000000U, .count = COUNT, .format = HB_INT16, .channels = 1U,
                            .temperature_centicelsius = 2000, .samples = samples};
    hb_decoder decoder;
    hb_received received;
    uint32_t size = 0U;
    uint32_t good = 0U;
    pipe simulated;
    board_init();
    pipe_init(&simulated);
    for (uint32_t i = 0U; i < COUNT; i++) {
        samples[i] = (int16_t)pipe_sample(&simulated, 0);
    }
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    const uint64_t start = board_now_us();
    for (uint32_t i = 0U; i < FRAMES; i++) {
        hb_encoder encoder;
        hb_begin(&encoder, wire, sizeof wire, 0U, sizeof wire, &header);
        hb_put_audio(&encoder, &audio);
        size = hb_end(&encoder);
    }
    const uint64_t encoded = board_now_us();
    for (uint32_t i = 0U; i < FRAMES; i++) {
        (void)hb_receive(&decoder, wire, size, &received);
        good += (received.outcome == HB_FRAME) ? 1U : 0U;
    }
    const uint64_t decoded = board_now_us();
    report("encode: ", encoded - start);
    report("decode: ", decoded - encoded);
    print((good == FRAMES) ? "" : "frames were lost\n");
    stop();
    return 0;
}
