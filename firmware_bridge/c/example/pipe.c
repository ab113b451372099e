#include "pipe.h"

/* White noise of 16 bits: the upper half of a linear congruential generator's state. */
static int32_t white(uint32_t *random)
{
    *random = (*random * 1664525U) + 1013904223U;
    return (int32_t)(*random >> 16) - 32768;
}

void pipe_init(pipe *state)
{
    state->flow_random = 1U;
    state->leak_random = 2U;
    state->rumble = 0;
    state->rumble_below = 0;
    state->hiss = 0;
    state->hiss_below = 0;
}

int32_t pipe_sample(pipe *state, int32_t leak)
{
    const int32_t flow = white(&state->flow_random);
    /* One pole each; at 16 kHz their corners lie at about 730 Hz, twice, and at 1800 and 340 Hz. */
    state->rumble += ((flow * 256) - state->rumble) / 4;
    state->rumble_below += (state->rumble - state->rumble_below) / 4;
    state->hiss += ((white(&state->leak_random) * 256) - state->hiss) / 2;
    state->hiss_below += (state->hiss - state->hiss_below) / 8;
    const int32_t band = (state->hiss - state->hiss_below) / 256;
    return (state->rumble_below / 6144) + (flow / 2048) + ((band * leak) / 800);
}
