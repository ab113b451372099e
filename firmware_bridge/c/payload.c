/* The payloads, each as it is laid out in PROTOCOL.md. */

#include "fields.h"
#include "hydroear_bridge.h"

#include <stddef.h>

#define HELLO_SIZE 8U
#define ITEM_SIZE 2U
#define SENSOR_SIZE 16U
#define TIME_SIZE 36U
#define START_SIZE 10U
#define SET_SIZE 8U
#define RESULT_SIZE 16U
#define AUDIO_SIZE 20U
#define AUDIO_SIZE_WITH_TEMPERATURE 24U
#define STATUS_SIZE 16U
#define SENSOR_STATUS_SIZE 24U
#define EVENT_SIZE 20U
#define LOG_SIZE 2U
#define REC_LIST_SIZE 8U
#define RECORDING_SIZE 32U
#define REC_READ_SIZE 16U
#define REC_ERASE_SIZE 8U

static void set_u16(uint8_t *bytes, uint16_t value)
{
    set_le(bytes, value, 2U);
}

static void set_u32(uint8_t *bytes, uint32_t value)
{
    set_le(bytes, value, 4U);
}

static void set_u64(uint8_t *bytes, uint64_t value)
{
    set_le(bytes, value, 8U);
}

static uint16_t u16(const uint8_t *bytes)
{
    return (uint16_t)get_le(bytes, 2U);
}

static uint32_t u32(const uint8_t *bytes)
{
    return (uint32_t)get_le(bytes, 4U);
}

static uint64_t u64(const uint8_t *bytes)
{
    return get_le(bytes, 8U);
}

/* Two's complement, without a conversion that C leaves to the implementation. */
static int64_t i64(const uint8_t *bytes)
{
    const uint64_t bits = u64(bytes);
    return (bits <= (uint64_t)INT64_MAX) ? (int64_t)bits : (-(int64_t)(UINT64_MAX - bits) - 1);
}

static int32_t i32(const uint8_t *bytes)
{
    const uint32_t bits = u32(bytes);
    return (bits <= (uint32_t)INT32_MAX) ? (int32_t)bits : (-(int32_t)(UINT32_MAX - bits) - 1);
}

static int16_t i16(const uint8_t *bytes)
{
    const int32_t bits = (int32_t)u16(bytes);
    return (int16_t)((bits <= INT16_MAX) ? bits : (bits - 65536));
}

typedef union {
    float value;
    uint32_t bits;
} binary32;

static void set_f32(uint8_t *bytes, float value)
{
    const binary32 both = {.value = value};
    set_u32(bytes, both.bits);
}

static float f32(const uint8_t *bytes)
{
    const binary32 both = {.bits = u32(bytes)};
    return both.value;
}

/* Finite and not negative. */
static bool is_quantity(const uint8_t *bytes)
{
    const uint32_t bits = u32(bytes);
    return (bits < 0x7F800000U) || (bits == 0x80000000U);
}

/* The payload of a frame that may be read as this type, and has its fixed fields; else NULL. */
static const uint8_t *fields_of(const hb_frame *frame, uint8_t type, uint32_t size)
{
    const bool right = (frame->header.type == type) && ((frame->header.flags & HB_MUST_UNDERSTAND) == 0U);
    return (right && (frame->size >= size)) ? frame->payload : NULL;
}

/* ---- HELLO ------------------------------------------------------------------------------------------------ */

void hb_put_hello(hb_encoder *encoder, const hb_hello *hello)
{
    uint8_t bytes[HELLO_SIZE];
    bytes[0] = hello->protocol_min;
    bytes[1] = hello->protocol_max;
    set_u16(&bytes[2], hello->max_payload);
    set_u32(&bytes[4], hello->boot_id);
    hb_put(encoder, bytes, HELLO_SIZE);
}

static void put_item_head(hb_encoder *encoder, uint8_t tag, uint32_t size)
{
    const uint8_t bytes[ITEM_SIZE] = {tag, (uint8_t)size};
    hb_put(encoder, bytes, ITEM_SIZE);
}

void hb_put_item(hb_encoder *encoder, uint8_t tag, const void *value, uint8_t size)
{
    put_item_head(encoder, tag, size);
    hb_put(encoder, value, size);
}

void hb_put_capabilities(hb_encoder *encoder, uint32_t capabilities)
{
    uint8_t bytes[4];
    set_u32(bytes, capabilities);
    hb_put_item(encoder, HB_ITEM_CAPABILITIES, bytes, 4U);
}

void hb_put_sensor(hb_encoder *encoder, const hb_sensor *sensor, const uint32_t *rates_millihz,
                   const int16_t *gains_centidb)
{
    uint8_t bytes[SENSOR_SIZE];
    bytes[0] = sensor->stream;
    bytes[1] = sensor->kind;
    bytes[2] = sensor->unit;
    bytes[3] = sensor->adc_bits;
    set_f32(&bytes[4], sensor->sensitivity_v_per_unit);
    set_f32(&bytes[8], sensor->full_scale_units);
    bytes[12] = sensor->channels;
    bytes[13] = sensor->formats;
    bytes[14] = sensor->rates;
    bytes[15] = sensor->gains;
    put_item_head(encoder, HB_ITEM_SENSOR, SENSOR_SIZE + (4U * sensor->rates) + (2U * sensor->gains));
    hb_put(encoder, bytes, SENSOR_SIZE);
    for (uint32_t i = 0U; i < sensor->rates; i++) {
        set_u32(bytes, rates_millihz[i]);
        hb_put(encoder, bytes, 4U);
    }
    for (uint32_t i = 0U; i < sensor->gains; i++) {
        set_u16(bytes, (uint16_t)gains_centidb[i]);
        hb_put(encoder, bytes, 2U);
    }
}

bool hb_next_item(const hb_frame *frame, uint32_t *offset, hb_item *item)
{
    const uint32_t at = HELLO_SIZE + *offset;
    bool there = (at + ITEM_SIZE) <= frame->size;
    if (there) {
        item->tag = frame->payload[at];
        item->value.size = frame->payload[at + 1U];
        item->value.bytes = &frame->payload[at + ITEM_SIZE];
        there = (at + ITEM_SIZE + item->value.size) <= frame->size;
        *offset += ITEM_SIZE + item->value.size;
    }
    return there;
}

static bool is_valid(const hb_item *item)
{
    hb_sensor sensor;
    bool valid = true;
    if (item->tag == (uint8_t)HB_ITEM_CAPABILITIES) {
        valid = item->value.size >= 4U;
    } else if (item->tag == (uint8_t)HB_ITEM_SENSOR) {
        valid = hb_get_sensor(item, &sensor);
    } else {
        /* Names, and items of later revisions, may be anything. */
    }
    return valid;
}

bool hb_get_hello(const hb_frame *frame, hb_hello *hello)
{
    const uint8_t *fields = fields_of(frame, HB_HELLO, HELLO_SIZE);
    bool valid = (fields != NULL) && (fields[0] <= fields[1]) && (u16(&fields[2]) <= HB_MAX_PAYLOAD);
    if (valid) {
        uint32_t offset = 0U;
        hb_item item;
        while (valid && hb_next_item(frame, &offset, &item)) {
            valid = is_valid(&item);
        }
        valid = valid && ((HELLO_SIZE + offset) == frame->size);
    }
    if (valid) {
        hello->protocol_min = fields[0];
        hello->protocol_max = fields[1];
        hello->max_payload = u16(&fields[2]);
        hello->boot_id = u32(&fields[4]);
    }
    return valid;
}

uint32_t hb_get_capabilities(const hb_item *item)
{
    return u32(item->value.bytes);
}

bool hb_get_sensor(const hb_item *item, hb_sensor *sensor)
{
    const uint8_t *fields = item->value.bytes;
    bool valid = (item->tag == (uint8_t)HB_ITEM_SENSOR) && (item->value.size >= SENSOR_SIZE);
    valid = valid && (fields[0] != 0U) && (fields[12] != 0U) && is_quantity(&fields[4]) && is_quantity(&fields[8]);
    valid = valid && (item->value.size >= (SENSOR_SIZE + (4U * (uint32_t)fields[14]) + (2U * (uint32_t)fields[15])));
    if (valid) {
        sensor->stream = fields[0];
        sensor->kind = fields[1];
        sensor->unit = fields[2];
        sensor->adc_bits = fields[3];
        sensor->sensitivity_v_per_unit = f32(&fields[4]);
        sensor->full_scale_units = f32(&fields[8]);
        sensor->channels = fields[12];
        sensor->formats = fields[13];
        sensor->rates = fields[14];
        sensor->gains = fields[15];
        for (uint8_t i = 0U; i < sensor->rates; i++) {
            valid = valid && (hb_get_rate(item, i) != 0U);
        }
    }
    return valid;
}

uint32_t hb_get_rate(const hb_item *item, uint8_t index)
{
    return u32(&item->value.bytes[SENSOR_SIZE + (4U * (uint32_t)index)]);
}

int16_t hb_get_gain(const hb_item *item, uint8_t index)
{
    const uint32_t rates = item->value.bytes[14];
    return i16(&item->value.bytes[SENSOR_SIZE + (4U * rates) + (2U * (uint32_t)index)]);
}

/* ---- TIME, requests, RESULT ------------------------------------------------------------------------------- */

void hb_put_time(hb_encoder *encoder, const hb_time *time)
{
    uint8_t bytes[TIME_SIZE];
    set_u64(&bytes[0], time->receiver_sent_us);
    set_u64(&bytes[8], time->device_received_us);
    set_u64(&bytes[16], time->device_sent_us);
    set_u64(&bytes[24], (uint64_t)time->utc_offset_us);
    set_u32(&bytes[32], time->uncertainty_us);
    hb_put(encoder, bytes, TIME_SIZE);
}

bool hb_get_time(const hb_frame *frame, hb_time *time)
{
    const uint8_t *fields = fields_of(frame, HB_TIME, TIME_SIZE);
    if (fields != NULL) {
        time->receiver_sent_us = u64(&fields[0]);
        time->device_received_us = u64(&fields[8]);
        time->device_sent_us = u64(&fields[16]);
        time->utc_offset_us = i64(&fields[24]);
        time->uncertainty_us = u32(&fields[32]);
    }
    return fields != NULL;
}

void hb_put_start(hb_encoder *encoder, const hb_start *start)
{
    uint8_t bytes[START_SIZE];
    set_u32(&bytes[0], start->rate_millihz);
    set_u16(&bytes[4], start->count);
    set_u16(&bytes[6], (uint16_t)start->gain_centidb);
    bytes[8] = start->format;
    bytes[9] = 0U;
    hb_put(encoder, bytes, START_SIZE);
}

bool hb_get_start(const hb_frame *frame, hb_start *start)
{
    const uint8_t *fields = fields_of(frame, HB_START, START_SIZE);
    const bool valid = (fields != NULL) && (u32(&fields[0]) != 0U) && (hb_sample_width(fields[8]) != 0U);
    if (valid) {
        start->rate_millihz = u32(&fields[0]);
        start->count = u16(&fields[4]);
        start->gain_centidb = i16(&fields[6]);
        start->format = fields[8];
    }
    return valid;
}

void hb_put_set(hb_encoder *encoder, const hb_set *set)
{
    uint8_t bytes[SET_SIZE];
    set_u16(&bytes[0], set->parameter);
    set_u16(&bytes[2], 0U);
    set_u32(&bytes[4], (uint32_t)set->value);
    hb_put(encoder, bytes, SET_SIZE);
}

bool hb_get_set(const hb_frame *frame, hb_set *set)
{
    const uint8_t *fields = fields_of(frame, HB_SET, SET_SIZE);
    if (fields != NULL) {
        set->parameter = u16(&fields[0]);
        set->value = i32(&fields[4]);
    }
    return fields != NULL;
}

void hb_put_result(hb_encoder *encoder, const hb_result *result)
{
    uint8_t bytes[RESULT_SIZE];
    set_u32(&bytes[0], result->request_sequence);
    bytes[4] = result->request_type;
    bytes[5] = result->code;
    set_u16(&bytes[6], 0U);
    set_u64(&bytes[8], (uint64_t)result->value);
    hb_put(encoder, bytes, RESULT_SIZE);
}

bool hb_get_result(const hb_frame *frame, hb_result *result)
{
    const uint8_t *fields = fields_of(frame, HB_RESULT, RESULT_SIZE);
    if (fields != NULL) {
        result->request_sequence = u32(&fields[0]);
        result->request_type = fields[4];
        result->code = fields[5];
        result->value = i64(&fields[8]);
    }
    return fields != NULL;
}

/* ---- AUDIO ------------------------------------------------------------------------------------------------ */

uint8_t hb_sample_width(uint8_t format)
{
    static const uint8_t widths[] = {0U, 2U, 3U, 4U, 4U};
    return (format < sizeof widths) ? widths[format] : 0U;
}

static uint32_t size_of_samples(uint16_t count, uint8_t channels, uint8_t format)
{
    return (uint32_t)count * channels * hb_sample_width(format);
}

void hb_put_audio(hb_encoder *encoder, const hb_audio *audio)
{
    uint8_t bytes[AUDIO_SIZE_WITH_TEMPERATURE];
    const bool measured = audio->temperature_centicelsius != HB_NO_TEMPERATURE;
    const uint32_t size = measured ? AUDIO_SIZE_WITH_TEMPERATURE : AUDIO_SIZE;
    set_u64(&bytes[0], audio->sample_index);
    set_u32(&bytes[8], audio->rate_millihz);
    set_u16(&bytes[12], audio->count);
    bytes[14] = audio->format;
    bytes[15] = audio->channels;
    set_u16(&bytes[16], (uint16_t)audio->gain_centidb);
    bytes[18] = audio->flags;
    bytes[19] = (uint8_t)size;
    set_u16(&bytes[20], 0U);
    set_u16(&bytes[22], (uint16_t)audio->temperature_centicelsius);
    hb_put(encoder, bytes, size);
    if (audio->samples != NULL) {
        hb_put(encoder, audio->samples, size_of_samples(audio->count, audio->channels, audio->format));
    }
}

bool hb_get_audio(const hb_frame *frame, hb_audio *audio)
{
    const uint8_t *fields = fields_of(frame, HB_AUDIO, AUDIO_SIZE);
    bool valid = (fields != NULL) && (u32(&fields[8]) != 0U) && (fields[19] >= AUDIO_SIZE);
    if (valid) {
        const uint32_t size = size_of_samples(u16(&fields[12]), fields[15], fields[14]);
        valid = (size != 0U) && ((fields[19] + size) == frame->size);
    }
    if (valid) {
        const bool measured = fields[19] >= AUDIO_SIZE_WITH_TEMPERATURE;
        audio->sample_index = u64(&fields[0]);
        audio->rate_millihz = u32(&fields[8]);
        audio->count = u16(&fields[12]);
        audio->format = fields[14];
        audio->channels = fields[15];
        audio->gain_centidb = i16(&fields[16]);
        audio->flags = fields[18];
        audio->temperature_centicelsius = measured ? i16(&fields[22]) : HB_NO_TEMPERATURE;
        audio->samples = &fields[fields[19]];
    }
    return valid;
}

/* ---- STATUS, EVENT, LOG ----------------------------------------------------------------------------------- */

/* Whether equal blocks, of at least their size of this revision, fill the payload from an offset on. */
static bool are_blocks(const hb_frame *frame, uint32_t first, uint32_t least_first, uint32_t size, uint32_t least_size)
{
    return (first >= least_first) && (first <= frame->size) && (size >= least_size) &&
           (((frame->size - first) % size) == 0U);
}

/* The block with this index, or NULL if there is none. */
static const uint8_t *block_at(const hb_frame *frame, uint32_t first, uint32_t size, uint32_t index)
{
    return (index < ((frame->size - first) / size)) ? &frame->payload[first + (index * size)] : NULL;
}

void hb_put_status(hb_encoder *encoder, const hb_status *status)
{
    uint8_t bytes[STATUS_SIZE];
    set_u16(&bytes[0], status->battery_mv);
    set_u16(&bytes[2], status->supply_mv);
    set_u16(&bytes[4], (uint16_t)status->temperature_centicelsius);
    set_u16(&bytes[6], status->humidity_centipercent);
    set_u32(&bytes[8], status->frames_dropped);
    bytes[12] = status->charge_percent;
    bytes[13] = status->reset_cause;
    bytes[14] = (uint8_t)STATUS_SIZE;
    bytes[15] = (uint8_t)SENSOR_STATUS_SIZE;
    hb_put(encoder, bytes, STATUS_SIZE);
}

void hb_put_sensor_status(hb_encoder *encoder, const hb_sensor_status *sensor)
{
    uint8_t bytes[SENSOR_STATUS_SIZE];
    set_u32(&bytes[0], sensor->stream);
    set_u32(&bytes[4], sensor->adc_overruns);
    set_u32(&bytes[8], sensor->drops);
    set_u32(&bytes[12], sensor->clips);
    set_u32(&bytes[16], sensor->rms);
    set_u32(&bytes[20], sensor->peak);
    hb_put(encoder, bytes, SENSOR_STATUS_SIZE);
}

bool hb_get_status(const hb_frame *frame, hb_status *status)
{
    const uint8_t *fields = fields_of(frame, HB_STATUS, STATUS_SIZE);
    bool valid = (fields != NULL) && are_blocks(frame, fields[14], STATUS_SIZE, fields[15], SENSOR_STATUS_SIZE) &&
                 ((fields[12] <= 100U) || (fields[12] == HB_NO_CHARGE));
    if (valid) {
        hb_sensor_status sensor;
        for (uint32_t i = 0U; valid && hb_get_sensor_status(frame, i, &sensor); i++) {
            valid = sensor.stream != 0U;
        }
    }
    if (valid) {
        status->battery_mv = u16(&fields[0]);
        status->supply_mv = u16(&fields[2]);
        status->temperature_centicelsius = i16(&fields[4]);
        status->humidity_centipercent = u16(&fields[6]);
        status->frames_dropped = u32(&fields[8]);
        status->charge_percent = fields[12];
        status->reset_cause = fields[13];
    }
    return valid;
}

bool hb_get_sensor_status(const hb_frame *frame, uint32_t index, hb_sensor_status *sensor)
{
    const uint8_t *fields = block_at(frame, frame->payload[14], frame->payload[15], index);
    if (fields != NULL) {
        sensor->stream = fields[0];
        sensor->adc_overruns = u32(&fields[4]);
        sensor->drops = u32(&fields[8]);
        sensor->clips = u32(&fields[12]);
        sensor->rms = u32(&fields[16]);
        sensor->peak = u32(&fields[20]);
    }
    return fields != NULL;
}

void hb_put_event(hb_encoder *encoder, const hb_event *event)
{
    uint8_t bytes[EVENT_SIZE];
    set_u64(&bytes[0], event->time_us);
    set_u32(&bytes[8], event->number);
    set_u16(&bytes[12], event->event);
    bytes[14] = event->begun ? 1U : 0U;
    bytes[15] = 0U;
    set_u32(&bytes[16], (uint32_t)event->value);
    hb_put(encoder, bytes, EVENT_SIZE);
}

bool hb_get_event(const hb_frame *frame, hb_event *event)
{
    const uint8_t *fields = fields_of(frame, HB_EVENT, EVENT_SIZE);
    if (fields != NULL) {
        event->time_us = u64(&fields[0]);
        event->number = u32(&fields[8]);
        event->event = u16(&fields[12]);
        event->begun = fields[14] != 0U;
        event->value = i32(&fields[16]);
    }
    return fields != NULL;
}

static hb_span rest_of(const hb_frame *frame, uint32_t first)
{
    const hb_span rest = {&frame->payload[first], frame->size - first};
    return rest;
}

void hb_put_log(hb_encoder *encoder, const hb_log *log)
{
    const uint8_t bytes[LOG_SIZE] = {log->level, (uint8_t)LOG_SIZE};
    hb_put(encoder, bytes, LOG_SIZE);
    hb_put(encoder, log->text.bytes, log->text.size);
}

bool hb_get_log(const hb_frame *frame, hb_log *log)
{
    const uint8_t *fields = fields_of(frame, HB_LOG, LOG_SIZE);
    const bool valid = (fields != NULL) && (fields[1] >= LOG_SIZE) && (fields[1] <= frame->size);
    if (valid) {
        log->level = fields[0];
        log->text = rest_of(frame, fields[1]);
    }
    return valid;
}

/* ---- Recordings ------------------------------------------------------------------------------------------- */

void hb_put_rec_list(hb_encoder *encoder, uint32_t from_recording)
{
    uint8_t bytes[REC_LIST_SIZE];
    set_u32(&bytes[0], from_recording);
    bytes[4] = (uint8_t)REC_LIST_SIZE;
    bytes[5] = (uint8_t)RECORDING_SIZE;
    set_u16(&bytes[6], 0U);
    hb_put(encoder, bytes, REC_LIST_SIZE);
}

void hb_put_recording(hb_encoder *encoder, const hb_recording *recording)
{
    uint8_t bytes[RECORDING_SIZE];
    set_u32(&bytes[0], recording->recording);
    set_u32(&bytes[4], recording->crc32);
    set_u64(&bytes[8], recording->size);
    set_u64(&bytes[16], recording->start_utc_us);
    set_u32(&bytes[24], recording->duration_ms);
    set_u32(&bytes[28], recording->state);
    hb_put(encoder, bytes, RECORDING_SIZE);
}

bool hb_get_rec_list(const hb_frame *frame, uint32_t *from_recording)
{
    const uint8_t *fields = fields_of(frame, HB_REC_LIST, REC_LIST_SIZE);
    const bool valid = (fields != NULL) && are_blocks(frame, fields[4], REC_LIST_SIZE, fields[5], RECORDING_SIZE);
    if (valid) {
        *from_recording = u32(&fields[0]);
    }
    return valid;
}

bool hb_get_recording(const hb_frame *frame, uint32_t index, hb_recording *recording)
{
    const uint8_t *fields = block_at(frame, frame->payload[4], frame->payload[5], index);
    if (fields != NULL) {
        recording->recording = u32(&fields[0]);
        recording->crc32 = u32(&fields[4]);
        recording->size = u64(&fields[8]);
        recording->start_utc_us = u64(&fields[16]);
        recording->duration_ms = u32(&fields[24]);
        recording->state = fields[28];
    }
    return fields != NULL;
}

void hb_put_rec_read(hb_encoder *encoder, const hb_rec_read *read)
{
    uint8_t bytes[REC_READ_SIZE];
    set_u64(&bytes[0], read->offset);
    set_u32(&bytes[8], read->recording);
    set_u32(&bytes[12], read->length);
    hb_put(encoder, bytes, REC_READ_SIZE);
}

bool hb_get_rec_read(const hb_frame *frame, hb_rec_read *read)
{
    const uint8_t *fields = fields_of(frame, HB_REC_READ, REC_READ_SIZE);
    if (fields != NULL) {
        read->offset = u64(&fields[0]);
        read->recording = u32(&fields[8]);
        read->length = u32(&fields[12]);
    }
    return fields != NULL;
}

void hb_put_rec_data(hb_encoder *encoder, const hb_rec_data *data)
{
    uint8_t bytes[HB_REC_DATA_SIZE];
    set_u64(&bytes[0], data->offset);
    set_u32(&bytes[8], data->recording);
    set_u32(&bytes[12], HB_REC_DATA_SIZE);
    hb_put(encoder, bytes, HB_REC_DATA_SIZE);
    hb_put(encoder, data->data.bytes, data->data.size);
}

bool hb_get_rec_data(const hb_frame *frame, hb_rec_data *data)
{
    const uint8_t *fields = fields_of(frame, HB_REC_DATA, HB_REC_DATA_SIZE);
    const bool valid = (fields != NULL) && (fields[12] >= HB_REC_DATA_SIZE) && (fields[12] < frame->size);
    if (valid) {
        data->offset = u64(&fields[0]);
        data->recording = u32(&fields[8]);
        data->data = rest_of(frame, fields[12]);
    }
    return valid;
}

void hb_put_rec_erase(hb_encoder *encoder, const hb_rec_erase *erase)
{
    uint8_t bytes[REC_ERASE_SIZE];
    set_u32(&bytes[0], erase->recording);
    set_u32(&bytes[4], erase->crc32);
    hb_put(encoder, bytes, REC_ERASE_SIZE);
}

bool hb_get_rec_erase(const hb_frame *frame, hb_rec_erase *erase)
{
    const uint8_t *fields = fields_of(frame, HB_REC_ERASE, REC_ERASE_SIZE);
    if (fields != NULL) {
        erase->recording = u32(&fields[0]);
        erase->crc32 = u32(&fields[4]);
    }
    return fields != NULL;
}
