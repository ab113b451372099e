/* The link: header, CRC-32, byte stuffing, delimiter. */

#include "fields.h"
#include "hydroear_bridge.h"

#define CRC_SIZE 4U
#define FULL_BLOCK 0xFFU

static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    /* Of each nibble through the reflected polynomial EDB88320: an eighth of the memory of a table of bytes. */
    static const uint32_t table[16] = {
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU, 0x76DC4190U, 0x6B6B51F4U, 0x4DB26158U, 0x5005713CU,
        0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU, 0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU};
    uint32_t next = crc ^ byte;
    next = (next >> 4) ^ table[next & 0x0FU];
    return (next >> 4) ^ table[next & 0x0FU];
}

uint32_t hb_crc32(uint32_t crc, const void *bytes, uint32_t count)
{
    const uint8_t *next = bytes;
    uint32_t state = ~crc;
    for (uint32_t i = 0U; i < count; i++) {
        state = crc_step(state, next[i]);
    }
    return ~state;
}

/* The next place in the ring; write() keeps out of those beyond the room. */
static uint32_t claim(hb_encoder *encoder)
{
    const uint32_t at = encoder->at;
    encoder->at = ((at + 1U) == encoder->size) ? 0U : (at + 1U);
    encoder->used++;
    return at;
}

static void write(hb_encoder *encoder, uint32_t at, uint8_t byte)
{
    if (encoder->used <= encoder->room) {
        encoder->ring[at] = byte;
    }
}

static void open_block(hb_encoder *encoder)
{
    encoder->code_at = claim(encoder);
    encoder->code = 1U;
}

static void close_block(hb_encoder *encoder)
{
    write(encoder, encoder->code_at, encoder->code);
    encoder->code = 0U;
}

static void stuff(hb_encoder *encoder, uint8_t byte)
{
    if (encoder->code == 0U) {
        open_block(encoder);
    }
    if (byte == 0U) {
        close_block(encoder);
        open_block(encoder);
    } else {
        write(encoder, claim(encoder), byte);
        encoder->code++;
        if (encoder->code == FULL_BLOCK) {
            close_block(encoder);
        }
    }
}

void hb_begin(hb_encoder *encoder, uint8_t *ring, uint32_t size, uint32_t start, uint32_t room,
              const hb_header *header)
{
    uint8_t fields[HB_HEADER_SIZE];
    encoder->ring = ring;
    encoder->size = size;
    encoder->room = room;
    encoder->at = start;
    encoder->used = 0U;
    encoder->code_at = start;
    encoder->crc = 0U;
    encoder->plain = 0U;
    encoder->code = 0U;
    fields[0] = (uint8_t)HB_VERSION;
    fields[1] = header->type;
    fields[2] = header->flags;
    fields[3] = header->stream;
    set_le(&fields[4], header->sequence, 4U);
    set_le(&fields[8], header->device_time_us, 8U);
    hb_put(encoder, fields, HB_HEADER_SIZE);
}

void hb_put(hb_encoder *encoder, const void *bytes, uint32_t count)
{
    const uint8_t *next = bytes;
    encoder->crc = hb_crc32(encoder->crc, bytes, count);
    encoder->plain += count;
    for (uint32_t i = 0U; i < count; i++) {
        stuff(encoder, next[i]);
    }
}

uint32_t hb_end(hb_encoder *encoder)
{
    uint8_t crc[CRC_SIZE];
    const bool short_enough = encoder->plain <= (HB_HEADER_SIZE + HB_MAX_PAYLOAD);
    set_le(crc, encoder->crc, CRC_SIZE);
    hb_put(encoder, crc, CRC_SIZE);
    if (encoder->code != 0U) {
        close_block(encoder);
    }
    write(encoder, claim(encoder), 0U);
    return (short_enough && (encoder->used <= encoder->room)) ? encoder->used : 0U;
}

static void await_frame(hb_decoder *decoder)
{
    decoder->size = 0U;
    decoder->left = 0U;
    decoder->zero_due = false;
    decoder->begun = false;
    decoder->bad = false;
}

void hb_decoder_init(hb_decoder *decoder, uint8_t *buffer, uint32_t capacity)
{
    decoder->buffer = buffer;
    decoder->capacity = capacity;
    decoder->aligned = false;
    await_frame(decoder);
}

static void keep(hb_decoder *decoder, uint8_t byte)
{
    if (decoder->size < decoder->capacity) {
        decoder->buffer[decoder->size] = byte;
        decoder->size++;
    } else {
        decoder->bad = true;
    }
}

/* Take a byte that is not 0. */
static void unstuff(hb_decoder *decoder, uint8_t byte)
{
    decoder->begun = true;
    if (decoder->left > 0U) {
        decoder->left--;
        keep(decoder, byte);
    } else {
        if (decoder->zero_due) {
            keep(decoder, 0U);
        }
        decoder->left = (uint8_t)(byte - 1U);
        decoder->zero_due = byte != FULL_BLOCK;
    }
}

static bool finish(const hb_decoder *decoder, hb_frame *frame)
{
    const uint8_t *fields = decoder->buffer;
    const uint32_t size = decoder->size;
    bool good = false;
    if (!decoder->bad && (decoder->left == 0U) && (size >= HB_OVERHEAD) && (size <= (HB_OVERHEAD + HB_MAX_PAYLOAD))) {
        const uint32_t end = size - CRC_SIZE;
        good = (get_le(&fields[end], CRC_SIZE) == hb_crc32(0U, fields, end)) && (fields[0] == HB_VERSION);
    }
    if (good) {
        frame->header.type = fields[1];
        frame->header.flags = fields[2];
        frame->header.stream = fields[3];
        frame->header.sequence = (uint32_t)get_le(&fields[4], 4U);
        frame->header.device_time_us = get_le(&fields[8], 8U);
        frame->payload = &fields[HB_HEADER_SIZE];
        frame->size = size - HB_OVERHEAD;
    }
    return good;
}

uint32_t hb_receive(hb_decoder *decoder, const uint8_t *bytes, uint32_t count, hb_received *received)
{
    uint32_t taken = 0U;
    received->outcome = HB_NOTHING;
    while ((taken < count) && (received->outcome == HB_NOTHING)) {
        const uint8_t byte = bytes[taken];
        taken++;
        if (byte != 0U) {
            unstuff(decoder, byte);
        } else {
            if (decoder->begun) {
                if (finish(decoder, &received->frame)) {
                    received->outcome = HB_FRAME;
                } else if (decoder->aligned) {
                    received->outcome = HB_BAD;
                } else {
                    /* Half a frame, in which listening began. */
                }
            }
            await_frame(decoder);
            decoder->aligned = true;
        }
    }
    return taken;
}
