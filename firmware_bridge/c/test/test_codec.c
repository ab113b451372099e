/*
 * Tests of the codec on the host: golden vectors both ways, rings, splits, damage, noise.
 *
 *     test_codec [number of damaged inputs, 20000 unless told]
 */
#include "accepts.h"
#include "checks.h"
#include "hydroear_bridge.h"

#include <string.h>

typedef struct {
    const char *name;
    const uint8_t *wire;
    uint32_t size;
    hb_header header;
    void (*put)(hb_encoder *encoder);    /* NULL: the codec does not write it so */
    void (*check)(const hb_frame *frame); /* NULL: the frame is bad */
} vector;

static bool same(hb_span span, const uint8_t *bytes, uint32_t size)
{
    return (span.size == size) && (memcmp(span.bytes, bytes, size) == 0);
}

/* The next item of HELLO that this revision knows. */
static bool next_known(const hb_frame *frame, uint32_t *offset, hb_item *item)
{
    while (hb_next_item(frame, offset, item)) {
        if (item->tag <= HB_ITEM_SENSOR) {
            return true;
        }
    }
    return false;
}

#include "vectors.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_STREAM 200000U

static uint8_t buffer[HB_MAX_PAYLOAD + HB_OVERHEAD];

static uint32_t encode(const vector *v, uint8_t *ring, uint32_t size, uint32_t start, uint32_t room)
{
    hb_encoder encoder;
    hb_begin(&encoder, ring, size, start, room, &v->header);
    v->put(&encoder);
    return hb_end(&encoder);
}

static hb_received decode(const uint8_t *wire, uint32_t size)
{
    hb_decoder decoder;
    hb_received received;
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    CHECK(hb_receive(&decoder, (const uint8_t *)"", 1U, &received) == 1U);
    CHECK(received.outcome == HB_NOTHING);
    CHECK(hb_receive(&decoder, wire, size, &received) == size);
    return received;
}

static void decodes_the_vectors(void)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const vector *v = &vectors[i];
        const hb_received received = decode(v->wire, v->size);
        now_testing = v->name;
        if (v->check == NULL) {
            CHECK(received.outcome == HB_BAD || !accepts(&received.frame));
            continue;
        }
        CHECK(received.outcome == HB_FRAME);
        CHECK(received.frame.header.type == v->header.type);
        CHECK(received.frame.header.flags == v->header.flags);
        CHECK(received.frame.header.stream == v->header.stream);
        CHECK(received.frame.header.sequence == v->header.sequence);
        CHECK(received.frame.header.device_time_us == v->header.device_time_us);
        CHECK(accepts(&received.frame));
        v->check(&received.frame);
    }
}

static void reads_no_payload_under_a_flag_that_forbids_it(void)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const vector *v = &vectors[i];
        const uint8_t type = v->header.type;
        if ((v->check == NULL) || (type == HB_STOP) || (type == HB_SELFTEST) || (type > HB_REC_ERASE)) {
            continue;
        }
        now_testing = v->name;
        for (uint32_t flag = 0x10U; flag < 0x100U; flag <<= 1) {
            hb_received received = decode(v->wire, v->size);
            received.frame.header.flags = (uint8_t)flag;
            CHECK(!reads(&received.frame));
        }
    }
}

/* Into rings of every size around that of the frame, from everywhere, and into every room that is too small. */
static void encodes_the_vectors(void)
{
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        const vector *v = &vectors[i];
        if (v->put == NULL) {
            continue;
        }
        now_testing = v->name;
        for (uint32_t size = v->size; size < v->size + 3U; size++) {
            for (uint32_t start = 0; start < size; start++) {
                uint8_t *ring = malloc(size);
                memset(ring, 0xA5, size);
                CHECK(encode(v, ring, size, start, v->size) == v->size);
                for (uint32_t at = 0; at < size; at++) {
                    CHECK(ring[(start + at) % size] == (at < v->size ? v->wire[at] : 0xA5));
                }
                free(ring);
            }
        }
        for (uint32_t room = 0; room < v->size; room++) {
            uint8_t *ring = malloc(v->size);
            memset(ring, 0xA5, v->size);
            CHECK(encode(v, ring, v->size, 0U, room) == 0U);
            for (uint32_t at = room; at < v->size; at++) {
                CHECK(ring[at] == 0xA5);
            }
            free(ring);
        }
    }
}

static void a_frame_in_pieces_is_the_same(void)
{
    for (uint32_t piece = 1; piece < 30; piece++) {
        static uint8_t payload[1000], whole[HB_WIRE_SIZE(1000)], pieces[HB_WIRE_SIZE(1000)];
        const hb_header header = {.type = 0x80, .sequence = piece};
        hb_encoder encoder;
        for (size_t i = 0; i < sizeof payload; i++) {
            payload[i] = (uint8_t)random_below(piece);
        }
        hb_begin(&encoder, whole, sizeof whole, 0U, sizeof whole, &header);
        hb_put(&encoder, payload, sizeof payload);
        const uint32_t size = hb_end(&encoder);
        hb_begin(&encoder, pieces, sizeof pieces, 0U, sizeof pieces, &header);
        for (uint32_t at = 0; at < sizeof payload; at += piece) {
            hb_put(&encoder, &payload[at], at + piece <= sizeof payload ? piece : (uint32_t)sizeof payload - at);
        }
        CHECK(hb_end(&encoder) == size && size != 0U);
        CHECK(memcmp(whole, pieces, size) == 0);
        CHECK(memchr(whole, 0, size) == &whole[size - 1U]);
        const hb_received received = decode(whole, size);
        CHECK(received.outcome == HB_FRAME && received.frame.size == sizeof payload);
        CHECK(memcmp(received.frame.payload, payload, sizeof payload) == 0);
    }
}

static void the_longest_frame_fits_and_a_longer_one_does_not(void)
{
    static uint8_t payload[HB_MAX_PAYLOAD + 1U], wire[HB_WIRE_SIZE(HB_MAX_PAYLOAD + 1U)];
    const hb_header header = {.type = 0x80, .sequence = UINT32_MAX, .device_time_us = UINT64_MAX};
    memset(payload, 0xFF, sizeof payload);
    for (uint32_t size = HB_MAX_PAYLOAD; size < sizeof payload + 1U; size++) {
        hb_encoder encoder;
        hb_begin(&encoder, wire, sizeof wire, 0U, sizeof wire, &header);
        hb_put(&encoder, payload, size);
        const uint32_t written = hb_end(&encoder);
        CHECK(written <= HB_WIRE_SIZE(HB_MAX_PAYLOAD));
        CHECK((written != 0U) == (size == HB_MAX_PAYLOAD));
        if (written != 0U) {
            CHECK(decode(wire, written).outcome == HB_FRAME);
            hb_decoder decoder;
            hb_received received;
            hb_decoder_init(&decoder, buffer, sizeof buffer - 1U);
            (void)hb_receive(&decoder, (const uint8_t *)"", 1U, &received);
            (void)hb_receive(&decoder, wire, written, &received);
            CHECK(received.outcome == HB_BAD);
            CHECK(hb_receive(&decoder, vectors[0].wire, vectors[0].size, &received) == vectors[0].size);
            CHECK(received.outcome == HB_FRAME);
        }
    }
}

/* What a stream says, as one number: every outcome and all the bytes of every frame. */
static uint32_t digest(const uint8_t *bytes, uint32_t count, uint32_t longest_piece)
{
    hb_decoder decoder;
    uint32_t crc = 0;
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    for (uint32_t at = 0; at < count;) {
        uint32_t piece = longest_piece == 0U ? count : 1U + random_below(longest_piece);
        piece = piece < count - at ? piece : count - at;
        for (uint32_t end = at + piece; at < end;) {
            hb_received received;
            at += hb_receive(&decoder, &bytes[at], end - at, &received);
            if (received.outcome == HB_FRAME) {
                crc = hb_crc32(crc, &received.frame.header.sequence, sizeof received.frame.header.sequence);
                crc = hb_crc32(crc, received.frame.payload, received.frame.size);
            } else if (received.outcome == HB_BAD) {
                crc = hb_crc32(crc, "bad", 3U);
            }
        }
    }
    return crc;
}

static void a_stream_split_in_any_way_says_the_same(void)
{
    static uint8_t stream[MAX_STREAM];
    uint32_t size = 0;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        memcpy(&stream[size], vectors[i].wire, vectors[i].size);
        size += vectors[i].size;
    }
    const uint32_t whole = digest(stream, size, 0U);
    CHECK(digest(stream, size, 1U) == whole);
    for (uint32_t run = 0; run < 200; run++) {
        CHECK(digest(stream, size, 1U + random_below(700U)) == whole);
    }
}

/* A damaged frame between two whole ones: nothing crashes, and the second whole frame arrives. */
static void damage_costs_one_frame(uint32_t inputs)
{
    static uint8_t stream[3 * HB_WIRE_SIZE(HB_MAX_PAYLOAD)];
    const vector *whole = &vectors[0];
    uint32_t frames = 0; /* that the damage left as they were */
    while (whole->check == NULL) {
        whole++;
    }
    for (uint32_t input = 0; input < inputs; input++) {
        static uint8_t sent[sizeof buffer];
        const vector *v;
        hb_received undamaged;
        hb_decoder decoder;
        hb_received received = {0};
        do { /* one that is no frame might be mended */
            v = &vectors[random_below((uint32_t)COUNT_OF(vectors))];
            undamaged = decode(v->wire, v->size);
        } while (undamaged.outcome != HB_FRAME);
        uint32_t size = v->size;
        now_testing = v->name;
        memcpy(sent, undamaged.frame.payload, undamaged.frame.size);
        stream[0] = 0;
        memcpy(&stream[1], v->wire, size);
        for (uint32_t edits = 1U + random_below(4U); edits > 0U; edits--) {
            const uint32_t at = 1U + random_below(size);
            switch (random_below(3U)) {
            case 0:
                stream[at] ^= (uint8_t)(1U + random_below(255U));
                break;
            case 1:
                memmove(&stream[at], &stream[at + 1U], 1U + size - at);
                size -= size > 1U ? 1U : 0U;
                break;
            default:
                memmove(&stream[at + 1U], &stream[at], 1U + size - at);
                stream[at] = (uint8_t)random_below(256U);
                size++;
                break;
            }
        }
        size++;
        stream[size] = 0;
        size++;
        memcpy(&stream[size], whole->wire, whole->size);
        size += whole->size;
        hb_decoder_init(&decoder, buffer, sizeof buffer);
        for (uint32_t at = 0; at < size;) {
            at += hb_receive(&decoder, &stream[at], size - at, &received);
            if (received.outcome == HB_FRAME && at < size) {
                /* The edits undid each other, or left a frame before or after what they damaged. */
                CHECK(received.frame.header.type == undamaged.frame.header.type);
                CHECK(same((hb_span){received.frame.payload, received.frame.size}, sent, undamaged.frame.size));
                frames++;
            }
        }
        CHECK(received.outcome == HB_FRAME);
        CHECK(received.frame.header.sequence == whole->header.sequence);
        whole->check(&received.frame);
    }
    printf("%u damaged inputs, the frame after each arrived; %u were whole all the same\n", (unsigned)inputs,
           (unsigned)frames);
}

/* Other bytes under a right CRC-32, as firmware with a mistake would send them, in memory of just their size. */
static void nonsense_does_no_harm(uint32_t inputs)
{
    uint32_t accepted = 0;
    for (uint32_t input = 0; input < inputs; input++) {
        const vector *v = &vectors[random_below((uint32_t)COUNT_OF(vectors))];
        hb_received received = decode(v->wire, v->size);
        if (received.outcome != HB_FRAME) {
            continue;
        }
        const uint32_t size = random_below(4U) == 0U ? random_below(received.frame.size + 1U) : received.frame.size;
        uint8_t *payload = malloc(size + (size == 0U ? 1U : 0U));
        memcpy(payload, received.frame.payload, size);
        for (uint32_t edits = random_below(4U); edits > 0U && size > 0U; edits--) {
            payload[random_below(size < 40U ? size : 40U)] = (uint8_t)random_below(256U);
        }
        received.frame.payload = payload;
        received.frame.size = size;
        accepted += accepts(&received.frame) ? 1U : 0U;
        free(payload);
    }
    printf("%u payloads with other bytes, %u of them accepted\n", (unsigned)inputs, (unsigned)accepted);
}

static void the_checksum_is_the_one_of_the_protocol(void)
{
    CHECK(hb_crc32(0U, "123456789", 9U) == 0xCBF43926U);
    CHECK(hb_crc32(hb_crc32(0U, "1234", 4U), "56789", 5U) == 0xCBF43926U);
}

int main(int argc, char **argv)
{
    const uint32_t inputs = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000U;
    the_checksum_is_the_one_of_the_protocol();
    decodes_the_vectors();
    reads_no_payload_under_a_flag_that_forbids_it();
    encodes_the_vectors();
    a_frame_in_pieces_is_the_same();
    the_longest_frame_fits_and_a_longer_one_does_not();
    a_stream_split_in_any_way_says_the_same();
    damage_costs_one_frame(inputs);
    nonsense_does_no_harm(inputs);
    printf("%u vectors, all well\n", (unsigned)COUNT_OF(vectors));
    return 0;
}
