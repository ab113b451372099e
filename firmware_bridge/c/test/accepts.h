/* Whether the codec takes a frame, reading all there is in its payload. */
#ifndef ACCEPTS_H
#define ACCEPTS_H

#include "hydroear_bridge.h"

#include <stddef.h>

static volatile uint8_t touched;

/* Sanitizers tell when one of the bytes is out of bounds. */
static void touch(const uint8_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        touched = bytes[i];
    }
}

static bool accepts_hello(const hb_frame *frame)
{
    hb_hello hello;
    hb_item item;
    uint32_t offset = 0;
    if (!hb_get_hello(frame, &hello)) {
        return false;
    }
    while (hb_next_item(frame, &offset, &item)) {
        hb_sensor sensor;
        touch(item.value.bytes, item.value.size);
        if (item.tag == HB_ITEM_CAPABILITIES) {
            (void)hb_get_capabilities(&item);
        } else if (hb_get_sensor(&item, &sensor)) {
            for (uint8_t i = 0; i < sensor.rates; i++) {
                (void)hb_get_rate(&item, i);
            }
            for (uint8_t i = 0; i < sensor.gains; i++) {
                (void)hb_get_gain(&item, i);
            }
        }
    }
    return true;
}

static bool reads(const hb_frame *frame)
{
    union {
        hb_time time;
        hb_start start;
        hb_set set;
        hb_result result;
        hb_audio audio;
        hb_status status;
        hb_event event;
        hb_log log;
        uint32_t from;
        hb_rec_read read;
        hb_rec_data data;
        hb_rec_erase erase;
    } body;
    hb_sensor_status sensor;
    hb_recording recording;

    switch (frame->header.type) {
    case HB_HELLO:
        return accepts_hello(frame);
    case HB_TIME:
        return hb_get_time(frame, &body.time);
    case HB_START:
        return hb_get_start(frame, &body.start);
    case HB_SET:
        return hb_get_set(frame, &body.set);
    case HB_RESULT:
        return hb_get_result(frame, &body.result);
    case HB_AUDIO:
        if (!hb_get_audio(frame, &body.audio)) {
            return false;
        }
        touch(body.audio.samples,
              (uint32_t)body.audio.count * body.audio.channels * hb_sample_width(body.audio.format));
        return true;
    case HB_STATUS:
        if (!hb_get_status(frame, &body.status)) {
            return false;
        }
        for (uint32_t i = 0; hb_get_sensor_status(frame, i, &sensor); i++) {
        }
        return true;
    case HB_EVENT:
        return hb_get_event(frame, &body.event);
    case HB_LOG:
        if (!hb_get_log(frame, &body.log)) {
            return false;
        }
        touch(body.log.text.bytes, body.log.text.size);
        return true;
    case HB_REC_LIST:
        if (!hb_get_rec_list(frame, &body.from)) {
            return false;
        }
        for (uint32_t i = 0; hb_get_recording(frame, i, &recording); i++) {
        }
        return true;
    case HB_REC_READ:
        return hb_get_rec_read(frame, &body.read);
    case HB_REC_DATA:
        if (!hb_get_rec_data(frame, &body.data)) {
            return false;
        }
        touch(body.data.data.bytes, body.data.data.size);
        return true;
    case HB_REC_ERASE:
        return hb_get_rec_erase(frame, &body.erase);
    default:
        return true;
    }
}

/* Frames that must not be read are taken for their sequence. */
static bool accepts(const hb_frame *frame)
{
    return ((frame->header.flags & HB_MUST_UNDERSTAND) != 0U) || reads(frame);
}

#endif
