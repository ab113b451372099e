/*
 * Recordings in a memory that is written around its end: each begins where the one before ends, and room comes back when
 * the oldest goes. None is overwritten.
 *
 * They last as long as the memory does, and what is in here. A board with flash keeps both there.
 */
#ifndef RECORDINGS_H
#define RECORDINGS_H

#include "hydroear_bridge.h"

#define RECORDINGS 16U

/* The members are the functions' own. */
typedef struct {
    uint8_t *memory;
    uint32_t size;
    uint32_t head; /* where the next byte goes */
    uint32_t count;
    struct {
        uint32_t begin; /* where in the memory */
        hb_recording entry;
    } each[RECORDINGS]; /* in the order of their numbers */
    bool reading;
    hb_rec_read read; /* what was asked */
    uint32_t read_at, read_end;
} recordings;

void recordings_init(recordings *all, uint8_t *memory, uint32_t size);

/*
 * Begin a recording, with the delimiter that each line begins with. Its number is higher than that of any before. False
 * if there is no room, or are as many as there can be.
 */
bool recordings_start(recordings *all, uint32_t number);

/* Begin a frame in the recording that was begun; say how many bytes hb_end gave for it. */
void recordings_begin(const recordings *all, hb_encoder *encoder, const hb_header *header);
void recordings_add(recordings *all, uint32_t count);

/* Say when its first sample was taken, 0 if that is not known, and how long it has become. */
void recordings_describe(recordings *all, uint64_t start_utc_us, uint32_t duration_ms);

/* End it. */
void recordings_finish(recordings *all);

/* Put the answer to REC_LIST, which has room for all, and give how many were listed. */
uint32_t recordings_list(const recordings *all, uint32_t from_recording, hb_encoder *encoder);

/*
 * Grant REC_READ: HB_OK, or why not. It is then served by recordings_next, until that gives a piece without bytes, whose
 * offset is that after the last byte. The same request again is the one that is being served.
 */
uint8_t recordings_read(recordings *all, const hb_rec_read *asked);
hb_rec_data recordings_next(recordings *all, uint32_t most);

/* Grant REC_ERASE. */
uint8_t recordings_erase(recordings *all, const hb_rec_erase *asked);

#endif
