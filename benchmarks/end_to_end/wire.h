/* wire.h: what sender.c and yardstick.c share: byte order, DICOM elements, PDU
 * layout.
 *
 * Never opens a socket or a file. Sources: PS3.5 section 7.1, PS3.7 section 9.3
 * and Annex D, PS3.8 section 9.3. */

#ifndef WIRE_H
#define WIRE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERIFICATION "1.2.840.10008.1.1"
#define CT_IMAGE_STORAGE "1.2.840.10008.5.1.4.1.1.2"
#define IMPLICIT_VR_LITTLE_ENDIAN "1.2.840.10008.1.2"
#define EXPLICIT_VR_LITTLE_ENDIAN "1.2.840.10008.1.2.1"
#define APPLICATION_CONTEXT "1.2.840.10008.3.1.1.1"
#define IMPLEMENTATION "2.25.54379185742968190528525977302294402595"

enum pdu_type {
    ASSOCIATE_RQ = 1,
    ASSOCIATE_AC = 2,
    P_DATA_TF = 4,
    RELEASE_RQ = 5,
    RELEASE_RP = 6,
    ABORT = 7
};

enum item_type {
    ITEM_APPLICATION = 0x10,
    ITEM_CONTEXT_RQ = 0x20,
    ITEM_CONTEXT_AC = 0x21,
    ITEM_ABSTRACT = 0x30,
    ITEM_TRANSFER = 0x40,
    ITEM_USER = 0x50,
    ITEM_MAX_LENGTH = 0x51,
    ITEM_CLASS_UID = 0x52,
    ITEM_WINDOW = 0x53,
    ITEM_VERSION = 0x55
};

enum { PDU_HEADER = 6, PDV_HEADER = 6, HEADERS = 12, PDV_COMMAND = 1, PDV_LAST = 2 };
enum { C_STORE_RQ = 0x0001, C_STORE_RSP = 0x8001, C_ECHO_RQ = 0x0030 };
enum { C_ECHO_RSP = 0x8030 };

static inline void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint16_t load_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint16_t load_le16(const uint8_t *p)
{
    return (uint16_t)(p[1] << 8 | p[0]);
}

static inline uint32_t load_le32(const uint8_t *p)
{
    return (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static inline void store_be16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    store_be16(p, v >> 16);
    store_be16(p + 2, v);
}

static inline void store_le16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void store_le32(uint8_t *p, uint32_t v)
{
    store_le16(p, v);
    store_le16(p + 2, v >> 16);
}

/* A buffer being filled. Overflow is a bug of the caller and ends the program. */
struct bytes {
    uint8_t *at;
    size_t fill, capacity;
};

static inline uint8_t *reserve(struct bytes *b, size_t n)
{
    if (n > b->capacity - b->fill)
        die("internal error: %zu bytes do not fit", n);
    uint8_t *p = b->at + b->fill;
    b->fill += n;
    return p;
}

static inline void put(struct bytes *b, const void *p, size_t n)
{
    memcpy(reserve(b, n), p, n);
}

/* The 12 bytes before a fragment that is alone in its PDU; PS3.8 section 9.3.5. */
static inline void pdata_header(
    uint8_t *p, size_t fragment, uint8_t context, uint8_t flags)
{
    p[0] = P_DATA_TF;
    p[1] = 0;
    store_be32(p + 2, (uint32_t)fragment + PDV_HEADER);
    store_be32(p + 6, (uint32_t)fragment + 2);
    p[10] = context;
    p[11] = flags;
}

/* Items of the association PDUs: end_item() sets the length that begin_item() left. */
static inline size_t begin_item(struct bytes *b, uint8_t type)
{
    uint8_t *p = reserve(b, 4);
    p[0] = type;
    p[1] = 0;
    return b->fill;
}

static inline void end_item(struct bytes *b, size_t begin)
{
    store_be16(b->at + begin - 2, (uint32_t)(b->fill - begin));
}

static inline void put_item(struct bytes *b, uint8_t type, const void *value, size_t n)
{
    size_t item = begin_item(b, type);
    put(b, value, n);
    end_item(b, item);
}

static inline void put_user_information(
    struct bytes *b, uint32_t max_pdu, unsigned window)
{
    uint8_t number[4];
    size_t user = begin_item(b, ITEM_USER);
    store_be32(number, max_pdu);
    put_item(b, ITEM_MAX_LENGTH, number, 4);
    put_item(b, ITEM_CLASS_UID, IMPLEMENTATION, strlen(IMPLEMENTATION));
    if (window > 1) { /* operations invoked and performed; PS3.7 section D.3.3.3 */
        store_be16(number, window);
        store_be16(number + 2, 1);
        put_item(b, ITEM_WINDOW, number, 4);
    }
    put_item(b, ITEM_VERSION, "BENCHMARK", 9);
    end_item(b, user);
}

/* An element of a command set: Implicit VR Little Endian, PS3.7 section 6.3.1. */
static inline void put_command(
    struct bytes *b, uint16_t element, const void *value, size_t n)
{
    uint8_t *p = reserve(b, 8 + n + (n & 1));
    store_le16(p, 0);
    store_le16(p + 2, element);
    store_le32(p + 4, (uint32_t)(n + (n & 1)));
    memcpy(p + 8, value, n);
    if (n & 1)
        p[8 + n] = 0;
}

static inline void put_command_us(struct bytes *b, uint16_t element, uint16_t value)
{
    uint8_t number[2];
    store_le16(number, value);
    put_command(b, element, number, 2);
}

/* The group length element in front; finish_command() sets it when the set is
 * complete. */
static inline size_t begin_command(struct bytes *b)
{
    put_command(b, 0x0000, "\0\0\0\0", 4);
    return b->fill;
}

static inline void finish_command(struct bytes *b, size_t begin)
{
    store_le32(b->at + begin - 4, (uint32_t)(b->fill - begin));
}

/* An element in Explicit VR Little Endian, PS3.5 section 7.1.2; text padded with a
 * blank. */
static inline uint8_t *put_explicit(
    struct bytes *b, uint32_t tag, const char *vr, const void *value, size_t n)
{
    int wide = memcmp(vr, "OB", 2) == 0 || memcmp(vr, "OW", 2) == 0;
    int binary = wide || memcmp(vr, "UI", 2) == 0;
    size_t even = n + (n & 1);
    uint8_t *p = reserve(b, (wide ? 12 : 8) + even);
    store_le16(p, tag >> 16);
    store_le16(p + 2, tag & 0xffff);
    memcpy(p + 4, vr, 2);
    if (wide) {
        store_le16(p + 6, 0);
        store_le32(p + 8, (uint32_t)even);
    } else {
        store_le16(p + 6, (uint32_t)even);
    }
    p += wide ? 12 : 8;
    memcpy(p, value, n);
    if (n & 1)
        p[n] = binary ? 0 : ' ';
    return p;
}

/* Preamble, prefix and group 0002 as the original writes it with +B; PS3.10 section
 * 7.1. */
static inline void put_file_head(
    struct bytes *b, const char *sop_class, const char *instance, const char *syntax,
    const char *calling)
{
    memset(reserve(b, 128), 0, 128);
    put(b, "DICM", 4);
    put_explicit(b, 0x00020000, "UL", "\0\0\0\0", 4);
    size_t begin = b->fill;
    put_explicit(b, 0x00020001, "OB", "\0\1", 2);
    put_explicit(b, 0x00020002, "UI", sop_class, strlen(sop_class));
    put_explicit(b, 0x00020003, "UI", instance, strlen(instance));
    put_explicit(b, 0x00020010, "UI", syntax, strlen(syntax));
    put_explicit(b, 0x00020012, "UI", IMPLEMENTATION, strlen(IMPLEMENTATION));
    put_explicit(b, 0x00020013, "SH", "BENCHMARK", 9);
    put_explicit(b, 0x00020016, "AE", calling, strlen(calling));
    store_le32(b->at + begin - 4, (uint32_t)(b->fill - begin));
}

#endif
