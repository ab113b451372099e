/*
 * The hydroear bridge protocol, version 1: encoder and decoder for the firmware of a sensor.
 *
 * Layouts, limits and meanings are those of ../PROTOCOL.md, whose names are used here. C99, freestanding: no memory
 * is allocated and no library is called. No function blocks or keeps a state of its own: each may be called from an
 * interrupt, with objects that nobody else uses at the time.
 *
 * To send a frame, straight into the ring from which a DMA or an interrupt feeds the line:
 *
 *     hb_encoder encoder;
 *     hb_begin(&encoder, ring, sizeof ring, head, room, &header);
 *     hb_put_audio(&encoder, &audio);
 *     head = (head + hb_end(&encoder)) % sizeof ring;
 *
 * To keep it in a recording, which has a sequence and sample indices of its own, and a CRC-32 of all its bytes:
 *
 *     hb_begin(&encoder, memory, sizeof memory, size, sizeof memory - size, &header);
 *     hb_put_audio(&encoder, &audio);
 *     count = hb_end(&encoder);
 *     crc = hb_crc32(crc, &memory[size], count);
 *     size += count;
 *
 * To receive, whatever the pieces in which bytes arrive:
 *
 *     while (count > 0) {
 *         uint32_t taken = hb_receive(&decoder, bytes, count, &received);
 *         bytes += taken;
 *         count -= taken;
 *         if ((received.outcome == HB_FRAME) && hb_get_start(&received.frame, &start)) { ... }
 *     }
 *
 * Begin each line, and each recording, with one byte 00 of your own, to end whatever it carried before.
 */
#ifndef HYDROEAR_BRIDGE_H
#define HYDROEAR_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HB_VERSION 1U
#define HB_MAX_PAYLOAD 8192U

/* Bytes of header and CRC-32 around a payload; so large must a decoder's buffer be in addition to it. */
#define HB_OVERHEAD 20U

/* Bytes on the wire, with the delimiter, that a frame with this payload takes at most. */
#define HB_WIRE_SIZE(payload) (((payload) + HB_OVERHEAD) + (((payload) + HB_OVERHEAD) / 254U) + 2U)

enum {
    HB_HELLO = 0x01,
    HB_TIME = 0x02,
    HB_START = 0x03,
    HB_STOP = 0x04,
    HB_SET = 0x05,
    HB_SELFTEST = 0x06,
    HB_RESULT = 0x07,
    HB_AUDIO = 0x10,
    HB_STATUS = 0x11,
    HB_EVENT = 0x12,
    HB_LOG = 0x13,
    HB_REC_LIST = 0x20,
    HB_REC_READ = 0x21,
    HB_REC_DATA = 0x22,
    HB_REC_ERASE = 0x23,
    HB_SMP = 0x30
};

/* Flags of a header under which a payload must not be read by whoever does not know them. */
#define HB_MUST_UNDERSTAND 0xF0U

typedef struct {
    uint8_t type;
    uint8_t flags; /* 0 in frames that a device sends */
    uint8_t stream;
    uint32_t sequence;
    uint64_t device_time_us;
} hb_header;

/* ---- Encoder ---------------------------------------------------------------------------------------------- */

/* The members are the encoder's own. */
typedef struct {
    uint8_t *ring;
    uint32_t size;
    uint32_t room;
    uint32_t at;      /* where the next byte goes */
    uint32_t used;    /* bytes written; above room if it is too small */
    uint32_t code_at; /* where the code of the open block goes */
    uint32_t crc;
    uint32_t plain;   /* bytes before stuffing */
    uint8_t code;     /* of the open block; 0: none is open */
} hb_encoder;

/*
 * Begin a frame.
 *
 * ring, size   Buffer that is used around its end, not empty. A plain one that is filled from its beginning is a ring
 *              with start at what it holds, and room for the rest of it.
 * start        Where in it the first byte goes, below size.
 * room         Bytes from there on that may be written, at most size. Others are left as they are.
 */
void hb_begin(hb_encoder *encoder, uint8_t *ring, uint32_t size, uint32_t start, uint32_t room,
              const hb_header *header);

/* Append to the payload. */
void hb_put(hb_encoder *encoder, const void *bytes, uint32_t count);

/*
 * End the frame: CRC-32 and delimiter. Gives the bytes on the wire, or 0 if they did not fit or the payload is
 * longer than HB_MAX_PAYLOAD: then no frame was made, though bytes of the room may have been written, and the next
 * frame has its sequence.
 */
uint32_t hb_end(hb_encoder *encoder);

/* ---- Decoder ---------------------------------------------------------------------------------------------- */

typedef struct {
    hb_header header;
    const uint8_t *payload; /* in the decoder's buffer, until the next call of hb_receive */
    uint32_t size;
} hb_frame;

typedef enum {
    HB_NOTHING, /* more bytes are needed */
    HB_FRAME,   /* a frame with a right CRC-32 */
    HB_BAD      /* bytes between two delimiters that are no frame */
} hb_outcome;

typedef struct {
    hb_outcome outcome;
    hb_frame frame; /* if outcome is HB_FRAME */
} hb_received;

/* The members are the decoder's own. */
typedef struct {
    uint8_t *buffer;
    uint32_t capacity;
    uint32_t size; /* bytes of the frame so far */
    uint8_t left;  /* bytes of the open block still to come */
    bool zero_due; /* a zero stands between the open block and the next */
    bool begun;    /* bytes have come since the last delimiter */
    bool bad;
    bool aligned;  /* a delimiter has been heard */
} hb_decoder;

/* Give the decoder its buffer: the longest payload that shall be taken, and HB_OVERHEAD. Longer frames are bad. */
void hb_decoder_init(hb_decoder *decoder, uint8_t *buffer, uint32_t capacity);

/*
 * Take bytes up to the end of a frame, or all of them. Gives the number of bytes taken, at least 1 if count is.
 *
 * However the bytes are split, the same frames come out. After any damage the next delimiter starts afresh. What
 * comes before the first delimiter may be the end of a frame, and is not called bad.
 */
uint32_t hb_receive(hb_decoder *decoder, const uint8_t *bytes, uint32_t count, hb_received *received);

/* ---- Payloads --------------------------------------------------------------------------------------------- */

/*
 * hb_put_... appends the fields of a payload to the frame that was begun with that type.
 *
 * hb_get_... reads them. Gives false, and no fields, if the frame is of another type, has a flag in the high
 * nibble, or if its payload is too short, contradicts itself or has a value that is not allowed. Text is not
 * checked to be UTF-8. Pointers point into the payload.
 */

typedef struct {
    const uint8_t *bytes;
    uint32_t size;
} hb_span;

#define HB_NO_TEMPERATURE INT16_MIN
#define HB_NOT_MEASURED UINT16_MAX

/* Items of HELLO. */
enum {
    HB_ITEM_UID = 1,
    HB_ITEM_MODEL = 2,
    HB_ITEM_HARDWARE = 3,
    HB_ITEM_FIRMWARE = 4,
    HB_ITEM_CAPABILITIES = 5,
    HB_ITEM_SENSOR = 6
};

enum {
    HB_CAN_TIME = 0x01,
    HB_CAN_START = 0x02,
    HB_CAN_SET = 0x04,
    HB_CAN_SELFTEST = 0x08,
    HB_CAN_STATUS = 0x10,
    HB_CAN_EVENT = 0x20,
    HB_CAN_LOG = 0x40,
    HB_CAN_RECORD = 0x80,
    HB_CAN_SMP = 0x100
};

typedef struct {
    uint8_t protocol_min;
    uint8_t protocol_max;
    uint16_t max_payload;
    uint32_t boot_id;
} hb_hello;

typedef struct {
    uint8_t tag;
    hb_span value;
} hb_item;

enum { HB_KIND_OTHER, HB_HYDROPHONE, HB_ACCELEROMETER, HB_GEOPHONE, HB_MICROPHONE, HB_PRESSURE_TRANSDUCER };
enum { HB_UNIT_OTHER, HB_PASCAL, HB_METRE_PER_SECOND_SQUARED, HB_METRE_PER_SECOND, HB_VOLT };

typedef struct {
    uint8_t stream;
    uint8_t kind;
    uint8_t unit;
    uint8_t adc_bits;
    float sensitivity_v_per_unit;
    float full_scale_units;
    uint8_t channels;
    uint8_t formats; /* bit n - 1: format n */
    uint8_t rates;   /* how many */
    uint8_t gains;   /* how many */
} hb_sensor;

/* HELLO: first hb_put_hello, then the items that there are. An item has at most 255 bytes. */
void hb_put_hello(hb_encoder *encoder, const hb_hello *hello);
void hb_put_item(hb_encoder *encoder, uint8_t tag, const void *value, uint8_t size);
void hb_put_capabilities(hb_encoder *encoder, uint32_t capabilities);
void hb_put_sensor(hb_encoder *encoder, const hb_sensor *sensor, const uint32_t *rates_millihz,
                   const int16_t *gains_centidb);

bool hb_get_hello(const hb_frame *frame, hb_hello *hello);

/* Read the item at an offset, 0 for the first, of a frame that hb_get_hello took; the offset goes to the next. */
bool hb_next_item(const hb_frame *frame, uint32_t *offset, hb_item *item);
uint32_t hb_get_capabilities(const hb_item *item);
bool hb_get_sensor(const hb_item *item, hb_sensor *sensor);
uint32_t hb_get_rate(const hb_item *item, uint8_t index);
int16_t hb_get_gain(const hb_item *item, uint8_t index);

#define HB_UTC_NOT_KNOWN UINT32_MAX

typedef struct {
    uint64_t receiver_sent_us;   /* t1 */
    uint64_t device_received_us; /* t2 */
    uint64_t device_sent_us;     /* t3 */
    int64_t utc_offset_us;
    uint32_t uncertainty_us;     /* HB_UTC_NOT_KNOWN: the offset is not known */
} hb_time;

void hb_put_time(hb_encoder *encoder, const hb_time *time);
bool hb_get_time(const hb_frame *frame, hb_time *time);

enum { HB_INT16 = 1, HB_INT24 = 2, HB_INT32 = 3, HB_FLOAT32 = 4 };

#define HB_LEAVE_GAIN INT16_MIN

typedef struct {
    uint32_t rate_millihz;
    uint16_t count; /* 0: the device chooses */
    int16_t gain_centidb;
    uint8_t format;
} hb_start;

void hb_put_start(hb_encoder *encoder, const hb_start *start);
bool hb_get_start(const hb_frame *frame, hb_start *start);

enum {
    HB_SET_GAIN_CENTIDB = 1,
    HB_SET_STATUS_INTERVAL_MS = 2,
    HB_SET_LOG_LEVEL = 3,
    HB_SET_RECORDING_START_S = 4,
    HB_SET_RECORDING_DURATION_S = 5
};

typedef struct {
    uint16_t parameter;
    int32_t value;
} hb_set;

void hb_put_set(hb_encoder *encoder, const hb_set *set);
bool hb_get_set(const hb_frame *frame, hb_set *set);

enum {
    HB_OK,
    HB_UNKNOWN,
    HB_UNSUPPORTED,
    HB_BAD_REQUEST,
    HB_BUSY,
    HB_NOT_FOUND,
    HB_FAILED,
    HB_REFUSED
};

typedef struct {
    uint32_t request_sequence;
    uint8_t request_type;
    uint8_t code;
    int64_t value;
} hb_result;

void hb_put_result(hb_encoder *encoder, const hb_result *result);
bool hb_get_result(const hb_frame *frame, hb_result *result);

enum { HB_CLIPPED = 0x01, HB_GAP = 0x02, HB_GAIN_CHANGED = 0x04, HB_TIME_VALID = 0x08 };

typedef struct {
    uint64_t sample_index;
    uint32_t rate_millihz;
    uint16_t count;
    uint8_t format;
    uint8_t channels;
    int16_t gain_centidb;
    uint8_t flags;
    int16_t temperature_centicelsius; /* HB_NO_TEMPERATURE: not measured, takes no bytes */
    const void *samples; /* little-endian; NULL when sending: they follow by hb_put, in as many pieces as they lie */
} hb_audio;

/* Bytes of one sample; 0 for a format that there is not. */
uint8_t hb_sample_width(uint8_t format);
void hb_put_audio(hb_encoder *encoder, const hb_audio *audio);
bool hb_get_audio(const hb_frame *frame, hb_audio *audio);

enum {
    HB_RESET_NOT_KNOWN,
    HB_RESET_POWER_ON,
    HB_RESET_PIN,
    HB_RESET_WATCHDOG,
    HB_RESET_BROWN_OUT,
    HB_RESET_SOFTWARE,
    HB_RESET_FAULT
};

#define HB_NO_CHARGE UINT8_MAX

typedef struct {
    uint16_t battery_mv;              /* HB_NOT_MEASURED if so, and so on */
    uint16_t supply_mv;
    int16_t temperature_centicelsius; /* HB_NO_TEMPERATURE */
    uint16_t humidity_centipercent;
    uint32_t frames_dropped;
    uint8_t charge_percent;           /* HB_NO_CHARGE */
    uint8_t reset_cause;
} hb_status;

typedef struct {
    uint8_t stream;
    uint32_t adc_overruns;
    uint32_t drops;
    uint32_t clips;
    uint32_t rms;  /* full scale is 2^31 */
    uint32_t peak;
} hb_sensor_status;

/* STATUS: first hb_put_status, then the sensors that there are. */
void hb_put_status(hb_encoder *encoder, const hb_status *status);
void hb_put_sensor_status(hb_encoder *encoder, const hb_sensor_status *sensor);

bool hb_get_status(const hb_frame *frame, hb_status *status);

/* Of a frame that hb_get_status took; false if it has not so many. */
bool hb_get_sensor_status(const hb_frame *frame, uint32_t index, hb_sensor_status *sensor);

enum { HB_TAMPER = 1, HB_WATER_INGRESS = 2, HB_LOW_BATTERY = 3 };

typedef struct {
    uint64_t time_us;
    uint32_t number;
    uint16_t event;
    bool begun;
    int32_t value;
} hb_event;

void hb_put_event(hb_encoder *encoder, const hb_event *event);
bool hb_get_event(const hb_frame *frame, hb_event *event);

enum { HB_ERROR = 1, HB_WARNING = 2, HB_INFO = 3, HB_DEBUG = 4 };

typedef struct {
    uint8_t level;
    hb_span text;
} hb_log;

void hb_put_log(hb_encoder *encoder, const hb_log *log);
bool hb_get_log(const hb_frame *frame, hb_log *log);

enum { HB_FINISHED, HB_BEING_RECORDED };

typedef struct {
    uint32_t recording;
    uint32_t crc32;
    uint64_t size;
    uint64_t start_utc_us; /* 0: not known */
    uint32_t duration_ms;
    uint8_t state;
} hb_recording;

/* REC_LIST: first hb_put_rec_list, then the recordings that there are, 32 bytes each after the first 8. */
void hb_put_rec_list(hb_encoder *encoder, uint32_t from_recording);
void hb_put_recording(hb_encoder *encoder, const hb_recording *recording);

bool hb_get_rec_list(const hb_frame *frame, uint32_t *from_recording);

/* Of a frame that hb_get_rec_list took; false if it has not so many. */
bool hb_get_recording(const hb_frame *frame, uint32_t index, hb_recording *recording);

typedef struct {
    uint64_t offset;
    uint32_t recording;
    uint32_t length; /* 0: to the end */
} hb_rec_read;

void hb_put_rec_read(hb_encoder *encoder, const hb_rec_read *read);
bool hb_get_rec_read(const hb_frame *frame, hb_rec_read *read);

/* Bytes of REC_DATA ahead of the data: so many fewer than the maximum payload are sent in one frame. */
#define HB_REC_DATA_SIZE 16U

typedef struct {
    uint64_t offset;
    uint32_t recording;
    hb_span data; /* at least one byte */
} hb_rec_data;

void hb_put_rec_data(hb_encoder *encoder, const hb_rec_data *data);
bool hb_get_rec_data(const hb_frame *frame, hb_rec_data *data);

typedef struct {
    uint32_t recording;
    uint32_t crc32;
} hb_rec_erase;

void hb_put_rec_erase(hb_encoder *encoder, const hb_rec_erase *erase);
bool hb_get_rec_erase(const hb_frame *frame, hb_rec_erase *erase);

/*
 * SMP has no functions of its own: the payload is one packet, as MCUmgr takes it and gives it. hb_put appends what
 * MCUmgr answers; the payload of a frame of that type, without a flag in the high nibble, is what it is asked.
 */

/* CRC-32 of a recording in pieces: begin with crc 0, and give each time what the call before gave. */
uint32_t hb_crc32(uint32_t crc, const void *bytes, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif
