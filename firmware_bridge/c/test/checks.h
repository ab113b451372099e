/* What tests on the host share: checks that name what they were about, and the same random numbers each time. */
#ifndef CHECKS_H
#define CHECKS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char *now_testing = "";

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, now_testing, #condition); \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static inline uint32_t random_below(uint32_t limit)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % limit);
}

#endif
