/* memory.c: brings the memory of the machine into a known state.
 *
 *   memory warm BYTES    so many free bytes are warm until stdin ends
 *   memory hold BYTES    so many bytes are nobody else's until stdin ends
 *   memory probe BYTES   touch so many bytes once
 *
 * In a virtual machine free memory goes back to the host after two seconds, and its
 * next touch costs several times what it costs on a machine of its own; a figure
 * without the state means nothing. Only free blocks of 2 MiB and more go back, so
 * "warm" touches memory and frees it but for one page in each such block.
 *
 * Prints the nanoseconds a byte of a first touch in that state. */

#define _GNU_SOURCE

#include "wire.h"

#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, BLOCK = 1 << 21, PROBE = 1 << 25 };

static uint8_t *map(size_t size)
{
    uint8_t *p = mmap(
        NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || madvise(p, size, MADV_NOHUGEPAGE) < 0)
        die("%zu bytes of memory are not to be had", size);
    return p;
}

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Nanoseconds of processor time a byte. */
static double touch(uint8_t *p, size_t size)
{
    double begin = cpu_ns();
    for (size_t at = 0; at < size; at += PAGE)
        ((volatile uint8_t *)p)[at] = 1;
    return (cpu_ns() - begin) / (double)size;
}

int main(int argc, char **argv)
{
    size_t size = argc == 3 ? strtoull(argv[2], NULL, 10) & ~(BLOCK - 1ull) : 0;
    int warm = size && strcmp(argv[1], "warm") == 0;
    int hold = size && strcmp(argv[1], "hold") == 0;
    if (!warm && !hold && !(size && strcmp(argv[1], "probe") == 0))
        die("usage: memory warm|hold|probe BYTES");
    uint8_t *memory = map(size);
    double cost = touch(memory, size);
    if (warm) {
        for (size_t at = 0; at < size; at += BLOCK)
            if (madvise(memory + at + PAGE, BLOCK - PAGE, MADV_DONTNEED) < 0)
                die("memory cannot be freed");
        uint8_t *probe = map(PROBE);
        cost = touch(probe, PROBE);
        munmap(probe, PROBE);
    }
    printf("%.3f\n", cost);
    fflush(stdout);
    char byte;
    while ((warm || hold) && read(0, &byte, 1) > 0)
        ;
    return 0;
}
