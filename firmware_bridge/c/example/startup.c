/* From reset to main, without a C library. */

#include "board.h"

#include <stddef.h>

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_top[];

int main(void);
void reset(void);
/* The compiler may call these for what it copies and clears. */
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);

void *memcpy(void *to, const void *from, size_t count)
{
    uint8_t *bytes = to;
    const uint8_t *others = from;
    for (size_t i = 0; i < count; i++) {
        bytes[i] = others[i];
    }
    return to;
}

void *memset(void *to, int value, size_t count)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)value;
    }
    return to;
}

static uint32_t bytes_between(const uint32_t *start, const uint32_t *end)
{
    return (uint32_t)((uintptr_t)end - (uintptr_t)start);
}

void reset(void)
{
    (void)memcpy(data_start, data_load, bytes_between(data_start, data_end));
    (void)memset(bss_start, 0, bytes_between(bss_start, bss_end));
    (void)main();
    for (;;) {
    }
}

static void halt(void)
{
    for (;;) {
    }
}

typedef void (*handler)(void);

__attribute__((section(".vectors"), used)) static const struct {
    /* The processor reads them. */
    /* cppcheck-suppress unusedStructMember */
    uint32_t *stack;
    /* cppcheck-suppress unusedStructMember */
    handler exceptions[15];
    /* cppcheck-suppress unusedStructMember */
    handler interrupts[2];
} vectors = {
    stack_top,
    {reset, halt, halt, halt, halt, halt, NULL, NULL, NULL, NULL, halt, halt, NULL, halt, board_on_tick},
    {board_on_receive, board_on_transmit},
};
