/*
 * The example device: a simulated hydrophone on a simulated pipe, which answers all that PROTOCOL.md asks of a sensor
 * that streams.
 *
 * A parameter of its own, 8000, sets the leak: 0, there is none, to 100.
 */
#include "board.h"
#include "hydroear_bridge.h"
#include "pipe.h"

#include <stddef.h>

#define STREAM 1U
#define RATE_MILLIHZ 16000000U
#define USUAL_COUNT 320U
#define MAX_COUNT 960U
#define MAX_PAYLOAD 2048U
#define CONVERTER_FIFO 4096U /* samples that wait before they are lost */
#define HELLO_INTERVAL_US 2000000U
#define USUAL_STATUS_INTERVAL_MS 10000U
#define SET_LEAK 0x8000U

static const int16_t gains_centidb[] = {0, 602, 1204};
#define GAINS (sizeof gains_centidb / sizeof gains_centidb[0])

/* Never cleared: it counts the boots of a board that keeps its power, or is set by whoever loads the image. */
__attribute__((section(".noinit"))) static uint32_t boot_id;

static struct {
    bool running;
    uint16_t count;
    uint8_t gain; /* index into gains_centidb */
    bool gain_changed;
    bool gap;
    int32_t leak;
    uint64_t taken;    /* samples since boot, the index of the next */
    uint64_t first;    /* index at the last START */
    uint64_t start_us; /* device time of the last START */
} sensor;

static struct {
    uint32_t overruns;
    uint32_t drops;
    uint32_t clips;
    uint64_t sum_of_squares; /* these three since the last STATUS */
    uint32_t samples;
    uint32_t peak;
} health;

static pipe the_pipe;
static uint32_t sequence;
static uint32_t frames_dropped;
static uint32_t status_interval_ms = USUAL_STATUS_INTERVAL_MS;
static uint64_t status_due_us;
static hb_time utc = {.uncertainty_us = HB_UTC_NOT_KNOWN};

static void begin(hb_encoder *encoder, uint8_t type, uint8_t stream, uint64_t time_us)
{
    const hb_header header = {.type = type, .stream = stream, .sequence = sequence, .device_time_us = time_us};
    hb_begin(encoder, line_ring, LINE_RING, board_head(), board_room(), &header);
}

static bool send(hb_encoder *encoder)
{
    const uint32_t count = hb_end(encoder);
    if (count == 0U) {
        frames_dropped++;
    } else {
        sequence++;
        board_send(count);
    }
    return count != 0U;
}

static void put_text(hb_encoder *encoder, uint8_t tag, const char *text)
{
    uint8_t size = 0U;
    while (text[size] != '\0') {
        size++;
    }
    hb_put_item(encoder, tag, text, size);
}

static void send_hello(void)
{
    static const uint8_t uid[] = {0x48, 0x45, 0x00, 0x01};
    static const uint32_t rates_millihz[] = {RATE_MILLIHZ};
    const hb_hello hello = {HB_VERSION, HB_VERSION, MAX_PAYLOAD, boot_id};
    const hb_sensor hydrophone = {
        .stream = STREAM,
        .kind = HB_HYDROPHONE,
        .unit = HB_PASCAL,
        .adc_bits = 16U,
        .full_scale_units = 1000.0F,
        .channels = 1U,
        .formats = 1U << (HB_INT16 - 1),
        .rates = 1U,
        .gains = GAINS,
    };
    hb_encoder encoder;
    begin(&encoder, HB_HELLO, 0U, board_now_us());
    hb_put_hello(&encoder, &hello);
    hb_put_item(&encoder, HB_ITEM_UID, uid, sizeof uid);
    put_text(&encoder, HB_ITEM_MODEL, "simulated pipe");
    put_text(&encoder, HB_ITEM_HARDWARE, "mps2-an385");
    put_text(&encoder, HB_ITEM_FIRMWARE, "1");
    hb_put_capabilities(&encoder, HB_CAN_TIME | HB_CAN_START | HB_CAN_SET | HB_CAN_SELFTEST | HB_CAN_STATUS);
    hb_put_sensor(&encoder, &hydrophone, rates_millihz, gains_centidb);
    (void)send(&encoder);
}

static uint32_t square_root(uint64_t value)
{
    uint64_t root = 0U;
    for (uint64_t bit = UINT64_C(1) << 31; bit != 0U; bit >>= 1) {
        if (((root | bit) * (root | bit)) <= value) {
            root |= bit;
        }
    }
    return (uint32_t)root;
}

static void send_status(void)
{
    const hb_status status = {
        .battery_mv = HB_NOT_MEASURED,
        .supply_mv = HB_NOT_MEASURED,
        .temperature_centicelsius = HB_NO_TEMPERATURE,
        .humidity_centipercent = HB_NOT_MEASURED,
        .frames_dropped = frames_dropped,
        .charge_percent = HB_NO_CHARGE,
        .reset_cause = HB_RESET_NOT_KNOWN,
    };
    /* Samples have 15 bits below full scale, the protocol 31; half of what is missing goes under the root. */
    const uint64_t mean_square = (health.samples != 0U) ? ((health.sum_of_squares << 16) / health.samples) : 0U;
    const hb_sensor_status hydrophone = {
        .stream = STREAM,
        .adc_overruns = health.overruns,
        .drops = health.drops,
        .clips = health.clips,
        .rms = square_root(mean_square) << 8,
        .peak = health.peak << 16,
    };
    hb_encoder encoder;
    begin(&encoder, HB_STATUS, 0U, board_now_us());
    hb_put_status(&encoder, &status);
    hb_put_sensor_status(&encoder, &hydrophone);
    if (send(&encoder)) {
        health.sum_of_squares = 0U;
        health.samples = 0U;
        health.peak = 0U;
    }
}

/* ---- Samples ---------------------------------------------------------------------------------------------- */

static void lose(uint64_t count)
{
    for (uint64_t i = 0U; i < count; i++) {
        (void)pipe_sample(&the_pipe, 0);
    }
    sensor.taken += count;
    sensor.gap = true;
    health.drops += (uint32_t)count;
}

/* A sample behind the gain, within 16 bits. */
static int16_t convert(bool *clipped)
{
    const int32_t loud = pipe_sample(&the_pipe, sensor.leak) * (int32_t)(1U << sensor.gain);
    const int32_t within = (loud > INT16_MAX) ? INT16_MAX : ((loud < INT16_MIN) ? INT16_MIN : loud);
    const uint32_t magnitude = (uint32_t)((within < 0) ? -within : within);
    if ((within == INT16_MAX) || (within == INT16_MIN)) {
        *clipped = true;
        health.clips++;
    }
    health.sum_of_squares += (uint64_t)magnitude * magnitude;
    health.samples++;
    health.peak = (magnitude > health.peak) ? magnitude : health.peak;
    return (int16_t)within;
}

static void send_audio(void)
{
    static int16_t samples[MAX_COUNT];
    hb_encoder encoder;
    bool clipped = false;
    for (uint32_t i = 0U; i < sensor.count; i++) {
        samples[i] = convert(&clipped);
    }
    const hb_audio audio = {
        .sample_index = sensor.taken,
        .rate_millihz = RATE_MILLIHZ,
        .count = sensor.count,
        .format = HB_INT16,
        .channels = 1U,
        .gain_centidb = gains_centidb[sensor.gain],
        .flags = (uint8_t)((clipped ? HB_CLIPPED : 0) | (sensor.gap ? HB_GAP : 0) |
                           (sensor.gain_changed ? HB_GAIN_CHANGED : 0) |
                           ((utc.uncertainty_us != HB_UTC_NOT_KNOWN) ? HB_TIME_VALID : 0)),
        .temperature_centicelsius = HB_NO_TEMPERATURE,
        .samples = samples,
    };
    begin(&encoder, HB_AUDIO, STREAM, sensor.start_us + (((sensor.taken - sensor.first) * 125U) / 2U));
    hb_put_audio(&encoder, &audio);
    sensor.taken += sensor.count;
    if (send(&encoder)) {
        sensor.gap = false;
        sensor.gain_changed = false;
    } else {
        sensor.gap = true;
        health.drops += sensor.count;
    }
}

static void take_samples(void)
{
    if (sensor.running) {
        const uint64_t due = sensor.first + (((board_now_us() - sensor.start_us) * 2U) / 125U);
        if ((due - sensor.taken) > CONVERTER_FIFO) {
            health.overruns++;
            lose(due - sensor.taken - CONVERTER_FIFO);
        }
        if ((due - sensor.taken) >= sensor.count) {
            send_audio();
        }
    }
}

/* ---- Requests --------------------------------------------------------------------------------------------- */

static void answer_time(const hb_time *asked)
{
    hb_encoder encoder;
    hb_time answer;
    if (asked->uncertainty_us != HB_UTC_NOT_KNOWN) {
        utc = *asked;
    }
    answer = utc;
    answer.receiver_sent_us = asked->receiver_sent_us;
    answer.device_received_us = board_delimiter_us();
    answer.device_sent_us = board_now_us();
    begin(&encoder, HB_TIME, 0U, answer.device_sent_us);
    hb_put_time(&encoder, &answer);
    (void)send(&encoder);
}

static void set_gain(int32_t centidb)
{
    uint8_t nearest = 0U;
    for (uint8_t i = 1U; i < GAINS; i++) {
        if ((2 * (int64_t)centidb) >= (gains_centidb[i - 1U] + gains_centidb[i])) {
            nearest = i;
        }
    }
    sensor.gain_changed = sensor.gain_changed || (nearest != sensor.gain);
    sensor.gain = nearest;
}

static bool has_gain(int16_t centidb)
{
    bool found = centidb == HB_LEAVE_GAIN;
    for (uint8_t i = 0U; i < GAINS; i++) {
        found = found || (gains_centidb[i] == centidb);
    }
    return found;
}

static uint8_t start(const hb_start *asked, int64_t *value)
{
    const uint16_t count = (asked->count != 0U) ? asked->count : (uint16_t)USUAL_COUNT;
    const bool same_gain = (asked->gain_centidb == HB_LEAVE_GAIN) ||
                           (asked->gain_centidb == gains_centidb[sensor.gain]);
    uint8_t code = HB_OK;
    if ((asked->rate_millihz != RATE_MILLIHZ) || (asked->format != (uint8_t)HB_INT16) || (count > MAX_COUNT) ||
        !has_gain(asked->gain_centidb)) {
        code = HB_UNSUPPORTED;
    } else if (sensor.running) {
        code = ((count == sensor.count) && same_gain) ? HB_OK : HB_BUSY;
    } else {
        if (!same_gain) {
            set_gain(asked->gain_centidb);
        }
        sensor.count = count;
        sensor.first = sensor.taken;
        sensor.start_us = board_now_us();
        sensor.running = true;
    }
    *value = (code == HB_OK) ? (int64_t)sensor.taken : 0;
    return code;
}

static uint8_t set(const hb_set *asked, uint8_t stream, int64_t *value)
{
    uint8_t code = HB_OK;
    if ((asked->parameter == (uint16_t)HB_SET_GAIN_CENTIDB) && (stream == STREAM)) {
        set_gain(asked->value);
        *value = gains_centidb[sensor.gain];
    } else if ((asked->parameter == (uint16_t)HB_SET_STATUS_INTERVAL_MS) && (stream == 0U)) {
        status_interval_ms = (asked->value > 0) ? (uint32_t)asked->value : 0U;
        status_due_us = board_now_us() + (1000U * (uint64_t)status_interval_ms);
        *value = status_interval_ms;
    } else if ((asked->parameter == SET_LEAK) && (stream == STREAM)) {
        const int32_t positive = (asked->value > 0) ? asked->value : 0;
        sensor.leak = (positive < PIPE_LOUDEST_LEAK) ? positive : PIPE_LOUDEST_LEAK;
        *value = sensor.leak;
    } else {
        code = HB_NOT_FOUND;
    }
    return code;
}

static uint8_t grant(const hb_frame *frame, int64_t *value)
{
    const uint8_t stream = frame->header.stream;
    /* Under a flag that it does not know no request is known either. */
    const uint8_t type = ((frame->header.flags & HB_MUST_UNDERSTAND) == 0U) ? frame->header.type : 0U;
    union {
        hb_start start;
        hb_set set;
    } asked;
    uint8_t code = HB_OK;
    switch (type) {
    case HB_START:
        if (!hb_get_start(frame, &asked.start)) {
            code = HB_BAD_REQUEST;
        } else {
            code = (stream == STREAM) ? start(&asked.start, value) : (uint8_t)HB_NOT_FOUND;
        }
        break;
    case HB_STOP:
        if (stream <= STREAM) {
            sensor.running = false;
        } else {
            code = HB_NOT_FOUND;
        }
        break;
    case HB_SET:
        code = hb_get_set(frame, &asked.set) ? set(&asked.set, stream, value) : (uint8_t)HB_BAD_REQUEST;
        break;
    case HB_SELFTEST:
        if (stream > STREAM) {
            code = HB_NOT_FOUND;
        } else if (hb_crc32(0U, "123456789", 9U) != 0xCBF43926U) {
            code = HB_FAILED;
            *value = 1;
        } else {
            /* Nothing else to test here. */
        }
        break;
    default:
        code = HB_UNKNOWN;
        break;
    }
    return code;
}

static void handle(const hb_frame *frame)
{
    hb_time time;
    if (frame->header.type == (uint8_t)HB_TIME) {
        if (hb_get_time(frame, &time)) {
            answer_time(&time);
        }
    } else {
        hb_result result = {.request_sequence = frame->header.sequence, .request_type = frame->header.type};
        hb_encoder encoder;
        result.code = grant(frame, &result.value);
        begin(&encoder, HB_RESULT, frame->header.stream, board_now_us());
        hb_put_result(&encoder, &result);
        (void)send(&encoder);
    }
}

static void listen(hb_decoder *decoder)
{
    uint8_t bytes[64];
    uint32_t count = board_receive(bytes, sizeof bytes);
    while (count > 0U) {
        for (uint32_t at = 0U; at < count;) {
            hb_received received;
            at += hb_receive(decoder, &bytes[at], count - at, &received);
            if (received.outcome == HB_FRAME) {
                handle(&received.frame);
            }
        }
        count = board_receive(bytes, sizeof bytes);
    }
}

int main(void)
{
    static uint8_t buffer[MAX_PAYLOAD + HB_OVERHEAD];
    hb_decoder decoder;
    uint64_t hello_due_us = 0U;
    boot_id++;
    board_init();
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    pipe_init(&the_pipe);
    sensor.count = USUAL_COUNT;
    status_due_us = 1000U * (uint64_t)status_interval_ms;

    line_ring[board_head()] = 0U;
    board_send(1U);
    for (;;) {
        const uint64_t now = board_now_us();
        if (now >= hello_due_us) {
            send_hello();
            hello_due_us = now + HELLO_INTERVAL_US;
        }
        if ((status_interval_ms != 0U) && (now >= status_due_us)) {
            send_status();
            status_due_us = now + (1000U * (uint64_t)status_interval_ms);
        }
        listen(&decoder);
        take_samples();
        board_wait();
    }
}
