/*
 * The example device: a simulated hydrophone on a simulated pipe, which answers all that PROTOCOL.md asks of a sensor
 * that streams, and of a logger that records; it can be both at once.
 *
 * Two parameters are its own: 8000 of the sensor sets the leak, 0 (there is none) to 100. 8001 of the device is how many
 * seconds the recording lasts that is being made, or begins now; 0 ends it.
 */
#include "board.h"
#include "hydroear_bridge.h"
#include "pipe.h"
#include "recordings.h"

#include <stddef.h>

#define STREAM 1U
#define RATE_MILLIHZ 16000000U
#define USUAL_COUNT 320U
#define MAX_COUNT 960U
#define MAX_PAYLOAD 2048U
#define CONVERTER_FIFO 4096U /* samples that wait before they are lost */
#define HELLO_INTERVAL_US 2000000U
#define USUAL_STATUS_INTERVAL_MS 10000U
#define DAY_S 86400
#define SET_LEAK 0x8000U
#define SET_RECORDING_S 0x8001U

/* REC_DATA goes into a ring in which no more than another waits: AUDIO has the rest, and is not kept waiting for long. */
#define ROOM_FOR_REC_DATA (LINE_RING - 1U - HB_WIRE_SIZE(MAX_PAYLOAD))

static const int16_t gains_centidb[] = {0, 602, 1204};
#define GAINS (sizeof gains_centidb / sizeof gains_centidb[0])

/* Never cleared: a board that keeps its power goes on counting, or whoever loads the image sets them. */
__attribute__((section(".noinit"))) static struct {
    uint32_t boot_id;
    uint32_t recording; /* number of the last */
} kept;

/* Where frames go: the line, or the recording that is being made. Each counts frames and samples of its own. */
typedef struct {
    bool running; /* samples go there */
    bool gain_changed;
    bool gap;
    uint32_t sequence; /* of the next frame */
    uint64_t index;    /* of the next sample */
} outlet;

static outlet line, recording;

/* It runs while samples go anywhere. */
static struct {
    uint16_t count; /* samples in a frame */
    uint8_t gain;   /* index into gains_centidb */
    int32_t leak;
    uint64_t taken;    /* samples since it runs */
    uint64_t start_us; /* device time since when */
} sensor;

static recordings memory;
static uint64_t recording_start_us; /* device time of its first sample */
static uint64_t recording_samples;  /* how many it shall have */
static uint32_t read_sequence;      /* of the REC_READ that is being served */

static struct {
    uint32_t start_s; /* in the UTC day */
    uint32_t duration_s;
    uint64_t night; /* the last that was recorded; 0: none */
} schedule;

static struct {
    uint32_t overruns;
    uint32_t drops;
    uint32_t clips;
    uint64_t sum_of_squares; /* these three since the last STATUS */
    uint32_t samples;
    uint32_t peak;
} health;

static pipe the_pipe;
static uint32_t frames_dropped;
static uint32_t status_interval_ms = USUAL_STATUS_INTERVAL_MS;
static uint64_t status_due_us;
static hb_time utc = {.uncertainty_us = HB_UTC_NOT_KNOWN};

static bool is_utc_known(void)
{
    return utc.uncertainty_us != HB_UTC_NOT_KNOWN;
}

/* 0 if it is not known. */
static uint64_t utc_us(uint64_t device_us)
{
    return is_utc_known() ? ((uint64_t)utc.utc_offset_us + device_us) : 0U;
}

static void finish_recording(void)
{
    recordings_finish(&memory);
    recording.running = false;
}

static void begin(hb_encoder *encoder, const outlet *to, uint8_t type, uint8_t stream, uint64_t time_us)
{
    const hb_header header = {.type = type, .stream = stream, .sequence = to->sequence, .device_time_us = time_us};
    if (to == &line) {
        hb_begin(encoder, line_ring, LINE_RING, board_head(), board_room(), &header);
    } else {
        recordings_begin(&memory, encoder, &header);
    }
}

static bool send(hb_encoder *encoder, outlet *to)
{
    const uint32_t count = hb_end(encoder);
    if (count != 0U) {
        to->sequence++;
        if (to == &line) {
            board_send(count);
        } else {
            recordings_add(&memory, count);
        }
    } else if (to == &line) {
        frames_dropped++;
    } else {
        /* The memory is full; what is in it is whole. */
        finish_recording();
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

static void send_hello(outlet *to)
{
    static const uint8_t uid[] = {0x48, 0x45, 0x00, 0x01};
    static const uint32_t rates_millihz[] = {RATE_MILLIHZ};
    const hb_hello hello = {HB_VERSION, HB_VERSION, MAX_PAYLOAD, kept.boot_id};
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
    begin(&encoder, to, HB_HELLO, 0U, board_now_us());
    hb_put_hello(&encoder, &hello);
    hb_put_item(&encoder, HB_ITEM_UID, uid, sizeof uid);
    put_text(&encoder, HB_ITEM_MODEL, "simulated pipe");
    put_text(&encoder, HB_ITEM_HARDWARE, "mps2-an385");
    put_text(&encoder, HB_ITEM_FIRMWARE, "1");
    hb_put_capabilities(&encoder, HB_CAN_TIME | HB_CAN_START | HB_CAN_SET | HB_CAN_SELFTEST | HB_CAN_STATUS |
                                      HB_CAN_RECORD);
    hb_put_sensor(&encoder, &hydrophone, rates_millihz, gains_centidb);
    (void)send(&encoder, to);
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

static bool send_status(outlet *to)
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
    begin(&encoder, to, HB_STATUS, 0U, board_now_us());
    hb_put_status(&encoder, &status);
    hb_put_sensor_status(&encoder, &hydrophone);
    return send(&encoder, to);
}

static void tell_status(void)
{
    if (recording.running) {
        (void)send_status(&recording);
    }
    if (send_status(&line)) {
        health.sum_of_squares = 0U;
        health.samples = 0U;
        health.peak = 0U;
    }
}

static void send_result(const hb_result *result, uint8_t stream)
{
    hb_encoder encoder;
    begin(&encoder, &line, HB_RESULT, stream, board_now_us());
    hb_put_result(&encoder, result);
    (void)send(&encoder, &line);
}

/* ---- Samples ---------------------------------------------------------------------------------------------- */

/* Device time of the next sample. */
static uint64_t sample_time_us(void)
{
    return sensor.start_us + ((sensor.taken * 125U) / 2U);
}

static void run(outlet *to)
{
    if (!line.running && !recording.running) {
        sensor.taken = 0U;
        sensor.start_us = board_now_us();
    }
    to->running = true;
}

static void miss(outlet *by, uint64_t count)
{
    if (by->running) {
        by->index += count;
        by->gap = true;
    }
}

static void lose(uint64_t count)
{
    for (uint64_t i = 0U; i < count; i++) {
        (void)pipe_sample(&the_pipe, 0);
    }
    sensor.taken += count;
    miss(&line, count);
    miss(&recording, count);
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

static bool send_audio(outlet *to, const int16_t *samples, bool clipped)
{
    hb_encoder encoder;
    bool sent;
    const hb_audio audio = {
        .sample_index = to->index,
        .rate_millihz = RATE_MILLIHZ,
        .count = sensor.count,
        .format = HB_INT16,
        .channels = 1U,
        .gain_centidb = gains_centidb[sensor.gain],
        .flags = (uint8_t)((clipped ? HB_CLIPPED : 0) | (to->gap ? HB_GAP : 0) |
                           (to->gain_changed ? HB_GAIN_CHANGED : 0) | (is_utc_known() ? HB_TIME_VALID : 0)),
        .temperature_centicelsius = HB_NO_TEMPERATURE,
        .samples = samples,
    };
    begin(&encoder, to, HB_AUDIO, STREAM, sample_time_us());
    hb_put_audio(&encoder, &audio);
    to->index += sensor.count;
    sent = send(&encoder, to);
    to->gap = !sent;
    to->gain_changed = to->gain_changed && !sent;
    return sent;
}

static void record_audio(const int16_t *samples, bool clipped)
{
    if (send_audio(&recording, samples, clipped)) {
        const uint32_t duration_ms = (uint32_t)(recording.index / (RATE_MILLIHZ / 1000000U));
        recordings_describe(&memory, utc_us(recording_start_us), duration_ms);
        if (recording.index >= recording_samples) {
            finish_recording();
        }
    }
}

static void take_frame(void)
{
    static int16_t samples[MAX_COUNT];
    bool clipped = false;
    for (uint32_t i = 0U; i < sensor.count; i++) {
        samples[i] = convert(&clipped);
    }
    if (line.running && !send_audio(&line, samples, clipped)) {
        health.drops += sensor.count;
    }
    if (recording.running) {
        record_audio(samples, clipped);
    }
    sensor.taken += sensor.count;
}

/* Gives whether there was a frame of them. */
static bool take_samples(void)
{
    bool taken = false;
    if (line.running || recording.running) {
        const uint64_t due = ((board_now_us() - sensor.start_us) * 2U) / 125U;
        if ((due - sensor.taken) > CONVERTER_FIFO) {
            health.overruns++;
            lose(due - sensor.taken - CONVERTER_FIFO);
        }
        if ((due - sensor.taken) >= sensor.count) {
            take_frame();
            taken = true;
        }
    }
    return taken;
}

/* ---- Recording -------------------------------------------------------------------------------------------- */

static bool start_recording(void)
{
    const bool possible = recordings_start(&memory, kept.recording + 1U);
    if (possible) {
        const outlet fresh = {.running = false};
        kept.recording++;
        recording = fresh;
        run(&recording);
        recording_start_us = sample_time_us();
        send_hello(&recording);
    }
    return possible;
}

/* Let the recording that is being made last so long, or one that begins now. False if there is no room for it. */
static bool record(uint32_t seconds)
{
    bool possible = true;
    recording_samples = (uint64_t)seconds * (RATE_MILLIHZ / 1000U);
    if (!recording.running) {
        possible = (seconds == 0U) || start_recording();
    } else if (recording.index >= recording_samples) {
        finish_recording();
    } else {
        /* It goes on. */
    }
    return possible;
}

/* Record once a night, as soon as the time is known. */
static void keep_schedule(void)
{
    if (is_utc_known() && !recording.running) {
        /* A day more, so that it is not negative. */
        const uint64_t since_s = ((utc_us(board_now_us()) / 1000000U) + DAY_S) - schedule.start_s;
        const uint64_t night = since_s / DAY_S;
        const uint32_t elapsed_s = (uint32_t)(since_s % DAY_S);
        if ((night != schedule.night) && (elapsed_s < schedule.duration_s)) {
            schedule.night = night;
            (void)record(schedule.duration_s - elapsed_s);
        }
    }
}

/* One frame of what is being read, or the RESULT behind the last. */
static void serve_read(void)
{
    if (memory.reading && (board_room() >= ROOM_FOR_REC_DATA)) {
        const hb_rec_data piece = recordings_next(&memory, MAX_PAYLOAD - HB_REC_DATA_SIZE);
        hb_encoder encoder;
        if (piece.data.size != 0U) {
            begin(&encoder, &line, HB_REC_DATA, 0U, board_now_us());
            hb_put_rec_data(&encoder, &piece);
            (void)send(&encoder, &line);
        } else {
            const hb_result result = {
                .request_sequence = read_sequence, .request_type = HB_REC_READ, .value = (int64_t)piece.offset};
            send_result(&result, 0U);
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
    begin(&encoder, &line, HB_TIME, 0U, answer.device_sent_us);
    hb_put_time(&encoder, &answer);
    (void)send(&encoder, &line);
}

static void set_gain(int32_t centidb)
{
    uint8_t nearest = 0U;
    for (uint8_t i = 1U; i < GAINS; i++) {
        if ((2 * (int64_t)centidb) >= (gains_centidb[i - 1U] + gains_centidb[i])) {
            nearest = i;
        }
    }
    if (nearest != sensor.gain) {
        sensor.gain = nearest;
        line.gain_changed = true;
        recording.gain_changed = true;
    }
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
    } else if (line.running) {
        code = ((count == sensor.count) && same_gain) ? HB_OK : HB_BUSY;
    } else {
        if (!same_gain) {
            set_gain(asked->gain_centidb);
        }
        sensor.count = count;
        run(&line);
    }
    *value = (code == HB_OK) ? (int64_t)line.index : 0;
    return code;
}

static int32_t clamp(int32_t value, int32_t most)
{
    const int32_t positive = (value > 0) ? value : 0;
    return (positive < most) ? positive : most;
}

static uint8_t set(const hb_set *asked, uint8_t stream, int64_t *value)
{
    uint8_t code = HB_OK;
    if ((asked->parameter == (uint16_t)HB_SET_GAIN_CENTIDB) && (stream == STREAM)) {
        set_gain(asked->value);
        *value = gains_centidb[sensor.gain];
    } else if ((asked->parameter == (uint16_t)HB_SET_STATUS_INTERVAL_MS) && (stream == 0U)) {
        status_interval_ms = (uint32_t)clamp(asked->value, INT32_MAX);
        status_due_us = board_now_us() + (1000U * (uint64_t)status_interval_ms);
        *value = status_interval_ms;
    } else if ((asked->parameter == (uint16_t)HB_SET_RECORDING_START_S) && (stream == 0U)) {
        schedule.start_s = (uint32_t)clamp(asked->value, DAY_S - 1);
        schedule.night = 0U;
        *value = schedule.start_s;
    } else if ((asked->parameter == (uint16_t)HB_SET_RECORDING_DURATION_S) && (stream == 0U)) {
        schedule.duration_s = (uint32_t)clamp(asked->value, DAY_S);
        schedule.night = 0U;
        *value = schedule.duration_s;
    } else if ((asked->parameter == SET_RECORDING_S) && (stream == 0U)) {
        *value = clamp(asked->value, DAY_S);
        code = record((uint32_t)*value) ? HB_OK : HB_REFUSED;
    } else if ((asked->parameter == SET_LEAK) && (stream == STREAM)) {
        sensor.leak = clamp(asked->value, PIPE_LOUDEST_LEAK);
        *value = sensor.leak;
    } else {
        code = HB_NOT_FOUND;
    }
    return code;
}

static uint32_t list_recordings(uint32_t from_recording)
{
    hb_encoder encoder;
    begin(&encoder, &line, HB_REC_LIST, 0U, board_now_us());
    const uint32_t listed = recordings_list(&memory, from_recording, &encoder);
    (void)send(&encoder, &line);
    return listed;
}

static uint8_t grant_recordings(const hb_frame *frame, int64_t *value)
{
    union {
        uint32_t from_recording;
        hb_rec_read read;
        hb_rec_erase erase;
    } asked;
    uint8_t code = HB_BAD_REQUEST;
    if (frame->header.stream != 0U) {
        code = HB_NOT_FOUND;
    } else if (hb_get_rec_list(frame, &asked.from_recording)) {
        *value = list_recordings(asked.from_recording);
        code = HB_OK;
    } else if (hb_get_rec_read(frame, &asked.read)) {
        code = recordings_read(&memory, &asked.read);
    } else if (hb_get_rec_erase(frame, &asked.erase)) {
        code = recordings_erase(&memory, &asked.erase);
    } else {
        /* Too short. */
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
            line.running = false;
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
    case HB_REC_LIST:
    case HB_REC_READ:
    case HB_REC_ERASE:
        code = grant_recordings(frame, value);
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
        result.code = grant(frame, &result.value);
        if ((result.request_type == (uint8_t)HB_REC_READ) && (result.code == (uint8_t)HB_OK)) {
            /* Its RESULT comes behind the last byte. */
            read_sequence = result.request_sequence;
        } else {
            send_result(&result, frame->header.stream);
        }
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
    kept.boot_id++;
    board_init();
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    pipe_init(&the_pipe);
    recordings_init(&memory, recording_memory, RECORDING_MEMORY);
    sensor.count = USUAL_COUNT;
    status_due_us = 1000U * (uint64_t)status_interval_ms;

    line_ring[board_head()] = 0U;
    board_send(1U);
    for (;;) {
        const uint64_t now = board_now_us();
        if (now >= hello_due_us) {
            send_hello(&line);
            hello_due_us = now + HELLO_INTERVAL_US;
        }
        if ((status_interval_ms != 0U) && (now >= status_due_us)) {
            tell_status();
            status_due_us = now + (1000U * (uint64_t)status_interval_ms);
        }
        listen(&decoder);
        keep_schedule();
        if (!take_samples()) {
            /* AUDIO goes first. */
            serve_read();
        }
        board_wait();
    }
}
