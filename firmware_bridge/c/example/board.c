/*
 * Arm MPS2 board, application note AN385: Cortex-M3 at 25 MHz, CMSDK UART 0, counter of the FPGA.
 *
 * Addresses and registers: Arm Cortex-M System Design Kit Technical Reference Manual (DDI 0479), and Application Note
 * AN385 (DAI 0385).
 */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define UART_DATA REGISTER(0x40004000U)
#define UART_STATE REGISTER(0x40004004U)
#define UART_CONTROL REGISTER(0x40004008U)
#define UART_INTERRUPT REGISTER(0x4000400CU)
#define UART_DIVIDER REGISTER(0x40004010U)
#define TRANSMIT_FULL 1U
#define RECEIVE_FULL 2U
#define TRANSMIT_INTERRUPT 1U
#define RECEIVE_INTERRUPT 2U
#define ENABLE_ALL 0x0FU /* transmitter, receiver, and an interrupt of each */

#define COUNTER REGISTER(0x40028018U)
#define COUNTER_PRESCALE REGISTER(0x4002801CU)

#define TICK_CONTROL REGISTER(0xE000E010U)
#define TICK_RELOAD REGISTER(0xE000E014U)
#define TICK_VALUE REGISTER(0xE000E018U)
#define TICK_RUN 7U /* from the processor's clock, with an interrupt */
#define INTERRUPT_ENABLE REGISTER(0xE000E100U)
#define UART_INTERRUPTS 3U

#define CLOCK_HZ 25000000U
#define BAUD 460800U
#define INPUT_RING 1024U

uint8_t line_ring[LINE_RING];
static volatile uint32_t line_head, line_tail;
static uint8_t input_ring[INPUT_RING];
static volatile uint32_t input_head, input_tail;
static volatile uint32_t delimiter_at;
static uint32_t counter_start, counter_before, counter_turns;

void board_init(void)
{
    COUNTER_PRESCALE = (CLOCK_HZ / 1000000U) - 1U;
    counter_start = COUNTER;
    UART_DIVIDER = CLOCK_HZ / BAUD;
    UART_CONTROL = ENABLE_ALL;
    INTERRUPT_ENABLE = UART_INTERRUPTS;
    TICK_RELOAD = (CLOCK_HZ / 1000U) - 1U;
    TICK_VALUE = 0U;
    TICK_CONTROL = TICK_RUN;
}

uint64_t board_now_us(void)
{
    const uint32_t now = COUNTER - counter_start;
    if (now < counter_before) {
        counter_turns++;
    }
    counter_before = now;
    return ((uint64_t)counter_turns << 32) | now;
}

uint64_t board_delimiter_us(void)
{
    const uint64_t now = board_now_us();
    return now - (uint32_t)((uint32_t)now + counter_start - delimiter_at);
}

void board_wait(void)
{
    __asm volatile("wfi");
}

uint32_t board_receive(uint8_t *bytes, uint32_t count)
{
    uint32_t taken = 0U;
    while ((taken < count) && (input_tail != input_head)) {
        bytes[taken] = input_ring[input_tail];
        input_tail = (input_tail + 1U) % INPUT_RING;
        taken++;
    }
    return taken;
}

uint32_t board_head(void)
{
    return line_head;
}

uint32_t board_room(void)
{
    /* One place stays empty, to tell full from empty. */
    return ((line_tail + LINE_RING) - line_head - 1U) % LINE_RING;
}

static void feed_line(void)
{
    while ((line_tail != line_head) && ((UART_STATE & TRANSMIT_FULL) == 0U)) {
        UART_DATA = line_ring[line_tail];
        line_tail = (line_tail + 1U) % LINE_RING;
    }
}

void board_send(uint32_t count)
{
    __asm volatile("cpsid i" ::: "memory");
    line_head = (line_head + count) % LINE_RING;
    feed_line();
    __asm volatile("cpsie i" ::: "memory");
}

void board_on_tick(void)
{
    /* It has woken the main loop; that is all it is for. */
}

void board_on_receive(void)
{
    UART_INTERRUPT = RECEIVE_INTERRUPT;
    while ((UART_STATE & RECEIVE_FULL) != 0U) {
        const uint8_t byte = (uint8_t)UART_DATA;
        const uint32_t next = (input_head + 1U) % INPUT_RING;
        if (byte == 0U) {
            delimiter_at = COUNTER;
        }
        if (next != input_tail) {
            input_ring[input_head] = byte;
            input_head = next;
        }
    }
}

void board_on_transmit(void)
{
    UART_INTERRUPT = TRANSMIT_INTERRUPT;
    feed_line();
}
