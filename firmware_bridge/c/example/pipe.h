/*
 * A simulated pipe at 16 kHz: the rumble of the flow, and the hiss of a leak when it is told to have one.
 *
 * The same samples each time, by integer arithmetic alone, so that a program elsewhere can make them too. Divisions
 * round towards zero, as they do in C.
 */
#ifndef PIPE_H
#define PIPE_H

#include <stdint.h>

#define PIPE_LOUDEST_LEAK 100

typedef struct {
    uint32_t flow_random;
    uint32_t leak_random;
    int32_t rumble; /* the four in 1/256 */
    int32_t rumble_below;
    int32_t hiss;
    int32_t hiss_below;
} pipe;

void pipe_init(pipe *state);

/* The next sample, for a leak of 0 to PIPE_LOUDEST_LEAK; well within 16 bits. */
int32_t pipe_sample(pipe *state, int32_t leak);

#endif
