#include "recordings.h"

/* With less room than for two of the longest frames none is begun. */
#define LEAST_ROOM (2U * HB_WIRE_SIZE(HB_MAX_PAYLOAD))

void recordings_init(recordings *all, uint8_t *memory, uint32_t size)
{
    all->memory = memory;
    all->size = size;
    all->head = 0U;
    all->count = 0U;
    all->reading = false;
}

static uint32_t room(const recordings *all)
{
    const uint32_t tail = (all->count != 0U) ? all->each[0].begin : all->head;
    /* One place stays empty, to tell full from empty. */
    return ((tail + all->size) - all->head - 1U) % all->size;
}

static bool is_growing(const recordings *all)
{
    return (all->count != 0U) && (all->each[all->count - 1U].entry.state == (uint8_t)HB_BEING_RECORDED);
}

/* Place in the table; count if there is no such recording. */
static uint32_t find(const recordings *all, uint32_t number)
{
    uint32_t at = 0U;
    while ((at < all->count) && (all->each[at].entry.recording != number)) {
        at++;
    }
    return at;
}

bool recordings_start(recordings *all, uint32_t number)
{
    const bool possible = !is_growing(all) && (all->count < RECORDINGS) && (room(all) >= LEAST_ROOM);
    if (possible) {
        const hb_recording entry = {.recording = number, .state = HB_BEING_RECORDED};
        all->each[all->count].begin = all->head;
        all->each[all->count].entry = entry;
        all->count++;
        all->memory[all->head] = 0U;
        recordings_add(all, 1U);
    }
    return possible;
}

void recordings_begin(const recordings *all, hb_encoder *encoder, const hb_header *header)
{
    hb_begin(encoder, all->memory, all->size, all->head, room(all), header);
}

void recordings_add(recordings *all, uint32_t count)
{
    hb_recording *entry = &all->each[all->count - 1U].entry;
    const uint32_t to_end = all->size - all->head;
    const uint32_t first = (count < to_end) ? count : to_end;
    entry->crc32 = hb_crc32(entry->crc32, &all->memory[all->head], first);
    entry->crc32 = hb_crc32(entry->crc32, all->memory, count - first);
    entry->size += count;
    all->head = (all->head + count) % all->size;
}

void recordings_describe(recordings *all, uint64_t start_utc_us, uint32_t duration_ms)
{
    hb_recording *entry = &all->each[all->count - 1U].entry;
    entry->start_utc_us = start_utc_us;
    entry->duration_ms = duration_ms;
}

void recordings_finish(recordings *all)
{
    all->each[all->count - 1U].entry.state = HB_FINISHED;
}

uint32_t recordings_list(const recordings *all, uint32_t from_recording, hb_encoder *encoder)
{
    uint32_t listed = 0U;
    hb_put_rec_list(encoder, from_recording);
    for (uint32_t i = 0U; i < all->count; i++) {
        if (all->each[i].entry.recording >= from_recording) {
            hb_put_recording(encoder, &all->each[i].entry);
            listed++;
        }
    }
    return listed;
}

static bool is_same(const hb_rec_read *one, const hb_rec_read *other)
{
    return (one->recording == other->recording) && (one->offset == other->offset) && (one->length == other->length);
}

uint8_t recordings_read(recordings *all, const hb_rec_read *asked)
{
    const uint32_t at = find(all, asked->recording);
    uint8_t code = HB_OK;
    if (all->reading) {
        code = is_same(asked, &all->read) ? HB_OK : HB_BUSY;
    } else if (at == all->count) {
        code = HB_NOT_FOUND;
    } else if (asked->offset > all->each[at].entry.size) {
        code = HB_BAD_REQUEST;
    } else {
        const uint32_t offset = (uint32_t)asked->offset;
        const uint32_t left = (uint32_t)all->each[at].entry.size - offset;
        all->reading = true;
        all->read = *asked;
        all->read_at = offset;
        all->read_end = offset + (((asked->length != 0U) && (asked->length < left)) ? asked->length : left);
    }
    return code;
}

hb_rec_data recordings_next(recordings *all, uint32_t most)
{
    /* What is being read is not erased, so it is there. */
    const uint32_t begin = all->each[find(all, all->read.recording)].begin;
    const uint32_t place = (begin + all->read_at) % all->size;
    const uint32_t left = all->read_end - all->read_at;
    const uint32_t to_end = all->size - place;
    const uint32_t in_one = (left < to_end) ? left : to_end;
    const uint32_t count = (in_one < most) ? in_one : most;
    const hb_rec_data piece = {
        .offset = all->read_at, .recording = all->read.recording, .data = {&all->memory[place], count}};
    all->read_at += count;
    all->reading = count != 0U;
    return piece;
}

uint8_t recordings_erase(recordings *all, const hb_rec_erase *asked)
{
    const uint32_t at = find(all, asked->recording);
    uint8_t code = HB_OK;
    if (at == all->count) {
        code = HB_NOT_FOUND;
    } else if ((all->each[at].entry.state != (uint8_t)HB_FINISHED) ||
               (all->reading && (all->read.recording == asked->recording))) {
        code = HB_BUSY;
    } else if (all->each[at].entry.crc32 != asked->crc32) {
        code = HB_REFUSED;
    } else {
        all->count--;
        for (uint32_t i = at; i < all->count; i++) {
            all->each[i] = all->each[i + 1U];
        }
    }
    return code;
}
