/*
 * Tests of the example's recordings on the host: whatever is recorded, read and erased, in any order, in a memory that is
 * soon full, each recording stays what was written.
 */
#include "../example/recordings.h"
#include "checks.h"

#include <string.h>

#define STEPS 3000U
#define SIZE 80021U
#define LONGEST 3000U
#define ENOUGH (2U * HB_WIRE_SIZE(HB_MAX_PAYLOAD))

/* What is in there, as it should be. */
typedef struct {
    uint8_t bytes[SIZE];
    uint32_t size;
    uint32_t number;
    uint64_t begin; /* how much had been written before it */
    bool growing;
} expected;

static recordings all;
static expected there[RECORDINGS];
static uint32_t count;
static uint64_t written;

static uint32_t room(void)
{
    return SIZE - 1U - (uint32_t)(count == 0U ? 0U : written - there[0].begin);
}

static bool is_growing(void)
{
    return count != 0U && there[count - 1U].growing;
}

static uint32_t crc_of(const expected *one)
{
    return hb_crc32(0U, one->bytes, one->size);
}

static void start(uint32_t number)
{
    const bool possible = !is_growing() && count < RECORDINGS && room() >= ENOUGH;
    CHECK(recordings_start(&all, number) == possible);
    if (possible) {
        there[count] = (expected){.size = 1U, .number = number, .begin = written, .growing = true};
        count++;
        written++;
    }
}

/* Gives whether there was room for it. */
static bool append(uint32_t sequence)
{
    static uint8_t payload[LONGEST], wire[HB_WIRE_SIZE(LONGEST)];
    const hb_header header = {.type = 0x80, .sequence = sequence};
    const uint32_t size = random_below(1U + random_below(LONGEST));
    const uint32_t left = room();
    hb_encoder encoder;
    for (uint32_t i = 0; i < size; i++) {
        payload[i] = (uint8_t)random_below(5U);
    }
    hb_begin(&encoder, wire, sizeof wire, 0U, sizeof wire, &header);
    hb_put(&encoder, payload, size);
    const uint32_t expected_bytes = hb_end(&encoder);
    recordings_begin(&all, &encoder, &header);
    hb_put(&encoder, payload, size);
    const uint32_t bytes = hb_end(&encoder);
    CHECK(bytes == (expected_bytes <= left ? expected_bytes : 0U));
    if (bytes != 0U) {
        expected *one = &there[count - 1U];
        recordings_add(&all, bytes);
        recordings_describe(&all, sequence, one->size);
        memcpy(&one->bytes[one->size], wire, bytes);
        one->size += bytes;
        written += bytes;
    }
    return bytes != 0U;
}

static void finish(void)
{
    recordings_finish(&all);
    there[count - 1U].growing = false;
}

static void list(uint32_t from)
{
    static uint8_t wire[HB_WIRE_SIZE(HB_MAX_PAYLOAD)], buffer[HB_MAX_PAYLOAD + HB_OVERHEAD];
    const hb_header header = {.type = HB_REC_LIST};
    hb_encoder encoder;
    hb_decoder decoder;
    hb_received received;
    hb_recording entry;
    uint32_t told, listed = 0;
    hb_begin(&encoder, wire, sizeof wire, 0U, sizeof wire, &header);
    told = recordings_list(&all, from, &encoder);
    hb_decoder_init(&decoder, buffer, sizeof buffer);
    (void)hb_receive(&decoder, wire, hb_end(&encoder), &received);
    CHECK(received.outcome == HB_FRAME);
    for (uint32_t i = 0; i < count; i++) {
        if (there[i].number >= from) {
            CHECK(hb_get_recording(&received.frame, listed, &entry));
            CHECK(entry.recording == there[i].number && entry.size == there[i].size);
            CHECK(entry.crc32 == crc_of(&there[i]));
            CHECK(entry.state == (there[i].growing ? HB_BEING_RECORDED : HB_FINISHED));
            listed++;
        }
    }
    CHECK(told == listed && !hb_get_recording(&received.frame, listed, &entry));
}

static void read(const expected *one)
{
    const uint32_t offset = random_below(one->size + 1U), left = one->size - offset;
    const uint32_t length = random_below(one->size);
    const uint32_t end = offset + (length == 0U || length > left ? left : length);
    const hb_rec_read asked = {.recording = one->number, .offset = offset, .length = length};
    const hb_rec_read another = {.recording = one->number, .offset = offset + 1U, .length = length};
    const hb_rec_read beyond = {.recording = one->number, .offset = one->size + UINT64_C(1)};
    const hb_rec_erase erase = {one->number, crc_of(one)};
    uint32_t at = offset;
    CHECK(recordings_read(&all, &beyond) == HB_BAD_REQUEST);
    CHECK(recordings_read(&all, &asked) == HB_OK);
    CHECK(recordings_read(&all, &another) == HB_BUSY);
    CHECK(recordings_erase(&all, &erase) == HB_BUSY);
    CHECK(recordings_read(&all, &asked) == HB_OK);
    while (all.reading) {
        const uint32_t most = 1U + random_below(2000U);
        const hb_rec_data piece = recordings_next(&all, most);
        CHECK(piece.recording == one->number && piece.offset == at && piece.data.size <= most);
        CHECK(memcmp(piece.data.bytes, &one->bytes[at], piece.data.size) == 0);
        CHECK(all.reading == (piece.data.size != 0U));
        CHECK((piece.data.size == 0U) == (at == end));
        at += piece.data.size;
    }
    CHECK(at == end);
}

static void erase(uint32_t i)
{
    const hb_rec_erase right = {there[i].number, crc_of(&there[i])};
    const hb_rec_erase wrong = {there[i].number, right.crc32 ^ 1U};
    CHECK(recordings_erase(&all, &wrong) == (there[i].growing ? HB_BUSY : HB_REFUSED));
    CHECK(recordings_erase(&all, &right) == (there[i].growing ? HB_BUSY : HB_OK));
    if (!there[i].growing) {
        count--;
        memmove(&there[i], &there[i + 1U], (count - i) * sizeof there[0]);
    }
}

static void what_is_not_there_is_not_found(uint32_t number)
{
    const hb_rec_read read_it = {.recording = number};
    const hb_rec_erase erase_it = {number, 0U};
    CHECK(recordings_read(&all, &read_it) == HB_NOT_FOUND);
    CHECK(recordings_erase(&all, &erase_it) == HB_NOT_FOUND);
}

int main(void)
{
    uint32_t full = 0, longest_table = 0;
    uint8_t *memory = malloc(SIZE);
    recordings_init(&all, memory, SIZE);
    for (uint32_t step = 1; step <= STEPS; step++) {
        start(step);
        for (uint32_t frames = random_below(random_below(6U) == 0U ? 200U : 5U); frames > 0U && is_growing(); frames--) {
            if (!append(step)) {
                finish();
                full++;
            }
        }
        if (is_growing() && random_below(2U) == 0U) {
            finish();
        }
        longest_table = count > longest_table ? count : longest_table;
        list(random_below(step + 1U));
        what_is_not_there_is_not_found(step + 1U);
        if (count != 0U) {
            read(&there[random_below(count)]);
            if (random_below(5U) == 0U) {
                erase(random_below(count));
            }
        }
    }
    CHECK(full != 0U && longest_table == RECORDINGS);
    printf("%u steps, the memory was full %u times; every recording was what was written\n", STEPS,
           (unsigned)full);
    free(memory);
    return 0;
}
