/* The hardware: a line in both directions, a clock, a tick, a memory for recordings. */
#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stdint.h>

#define LINE_RING 8192U
#define RECORDING_MEMORY 0x1000000U

void board_init(void);

/* Microseconds since board_init. Call it at least once an hour: the counter beneath has 32 bits. */
uint64_t board_now_us(void);

/* Device time at which the last delimiter came in. */
uint64_t board_delimiter_us(void);

/* Sleep until something happened: a tick of a millisecond, or a byte. */
void board_wait(void);

/* Take what came in, at most a number of bytes. */
uint32_t board_receive(uint8_t *bytes, uint32_t count);

/* The ring that feeds the line: where to write, how many bytes there is room for, and that they are there. */
extern uint8_t line_ring[LINE_RING];
uint32_t board_head(void);
uint32_t board_room(void);
void board_send(uint32_t count);

/* Memory beside that of the processor; nothing but recordings lies there. */
extern uint8_t recording_memory[RECORDING_MEMORY];

/* The handlers of the interrupts, for the vector table. */
void board_on_tick(void);
void board_on_receive(void);
void board_on_transmit(void);

#endif
