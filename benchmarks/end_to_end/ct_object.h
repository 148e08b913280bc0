/* ct_object.h: what sender.c sends, as a message and as a file.
 *
 * A synthetic CT object: a valid data set in Explicit VR Little Endian whose pixels are
 * a repeated pattern, so that an object of any size needs no memory of its own. Or a
 * data set that somebody else has made, as it is. Never opens a socket. */

#ifndef CT_OBJECT_H
#define CT_OBJECT_H

#include "wire.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

enum { CT_CONTEXT = 1, PATTERN = (1 << 20) - 4, HEAD_ROOM = 2048 };
enum { UID_DIGITS = 30, UID_LENGTH = 5 + UID_DIGITS };

/* The wire form of one C-STORE-RQ with its data set. */
struct object {
    struct iovec *parts;
    size_t count;
    uint8_t *message_id, *command_uid;  /* places to patch */
    uint8_t *data_set_uid;              /* the same; NULL in a given data set */
    uint64_t data_set_bytes;
};

/* A data set in memory. */
struct given {
    uint8_t *bytes; /* NULL: none, make the CT object */
    uint64_t size;
};

static uint8_t *pattern;

/* A frame of rows x columns pixels of 2 bytes that has exactly the wanted size. */
static void frame_of(uint64_t size, uint16_t *rows, uint16_t *columns)
{
    uint64_t pixels = size / 2, r = 1;
    for (uint64_t i = 1; i * i <= pixels && i <= 65535; i++)
        if (pixels % i == 0)
            r = i;
    if (size < 2 || size % 2 || pixels / r > 65535)
        die("--size %llu is no frame of 16 bit pixels", (unsigned long long)size);
    *rows = (uint16_t)r;
    *columns = (uint16_t)(pixels / r);
}

static void text(struct bytes *b, uint32_t tag, const char *vr, const char *value)
{
    put_explicit(b, tag, vr, value, strlen(value));
}

static void number(struct bytes *b, uint32_t tag, uint16_t value)
{
    uint8_t le[2];
    store_le16(le, value);
    put_explicit(b, tag, "US", le, 2);
}

/* The data set up to the value of Pixel Data; returns the place of the SOP Instance
 * UID. */
static uint8_t *put_data_set_head(struct bytes *b, uint64_t size)
{
    char zeros[UID_LENGTH + 1];
    uint16_t rows, columns;
    frame_of(size, &rows, &columns);
    memset(zeros, '0', sizeof zeros);
    text(b, 0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL");
    text(b, 0x00080016, "UI", CT_IMAGE_STORAGE);
    uint8_t *uid = put_explicit(b, 0x00080018, "UI", zeros, UID_LENGTH);
    text(b, 0x00080020, "DA", "20240102");
    text(b, 0x00080021, "DA", "20240102");
    text(b, 0x00080030, "TM", "101112");
    text(b, 0x00080050, "SH", "A1");
    text(b, 0x00080060, "CS", "CT");
    text(b, 0x00080070, "LO", "Nobody");
    text(b, 0x00080090, "PN", "Physician^A");
    text(b, 0x00081030, "LO", "Benchmark");
    text(b, 0x00100010, "PN", "Doe^Jane");
    text(b, 0x00100020, "LO", "0001");
    text(b, 0x00100030, "DA", "19700101");
    text(b, 0x00100040, "CS", "F");
    text(b, 0x00180050, "DS", "1.25");
    text(b, 0x00180060, "DS", "120");
    text(b, 0x0020000d, "UI", IMPLEMENTATION ".1");
    text(b, 0x0020000e, "UI", IMPLEMENTATION ".2");
    text(b, 0x00200010, "SH", "1");
    text(b, 0x00200011, "IS", "1");
    text(b, 0x00200013, "IS", "1");
    text(b, 0x00200032, "DS", "-250\\-250\\0");
    text(b, 0x00200037, "DS", "1\\0\\0\\0\\1\\0");
    text(b, 0x00200052, "UI", IMPLEMENTATION ".3");
    text(b, 0x00201040, "LO", "");
    number(b, 0x00280002, 1);
    text(b, 0x00280004, "CS", "MONOCHROME2");
    number(b, 0x00280010, rows);
    number(b, 0x00280011, columns);
    text(b, 0x00280030, "DS", "0.5\\0.5");
    number(b, 0x00280100, 16);
    number(b, 0x00280101, 16);
    number(b, 0x00280102, 15);
    number(b, 0x00280103, 0);
    text(b, 0x00281052, "DS", "-1024");
    text(b, 0x00281053, "DS", "1");
    put_explicit(b, 0x7fe00010, "OW", "", 0);
    store_le32(b->at + b->fill - 4, (uint32_t)size);
    return uid;
}

static void fill_pattern(void)
{
    uint32_t state = 2463534242u;
    pattern = malloc(PATTERN);
    if (!pattern)
        die("out of memory");
    for (size_t i = 0; i < PATTERN; i += 4) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        memcpy(pattern + i, &state, 4);
    }
}

static void add_part(struct object *o, void *base, size_t length)
{
    o->parts[o->count++] = (struct iovec){base, length};
}

/* Pixel bytes [from, from + length) of the object; the pattern repeats. */
static void add_pixels(struct object *o, uint64_t from, size_t length)
{
    while (length) {
        size_t at = from % PATTERN, n = PATTERN - at < length ? PATTERN - at : length;
        add_part(o, pattern + at, n);
        from += n;
        length -= n;
    }
}

/* The same bytes of what follows the head of the data set. */
static void add_body(
    struct object *o, const struct given *given, uint64_t from, size_t length)
{
    if (given->bytes)
        add_part(o, given->bytes + from, length);
    else
        add_pixels(o, from, length);
}

/* Lay the message out in PDUs of the acceptor's size, one PDV in each: `given`, or the
 * CT object with `size` bytes of pixels. */
static void build_object(
    struct object *o, const struct given *given, uint64_t size, uint32_t max_pdu)
{
    char zeros[UID_LENGTH + 1];
    struct bytes message = {malloc(HEAD_ROOM), 0, HEAD_ROOM};
    memset(zeros, '0', sizeof zeros);
    reserve(&message, HEADERS);
    size_t begin = begin_command(&message);
    put_command(&message, 0x0002, CT_IMAGE_STORAGE, strlen(CT_IMAGE_STORAGE));
    put_command_us(&message, 0x0100, C_STORE_RQ);
    put_command_us(&message, 0x0110, 0);
    o->message_id = message.at + message.fill - 2;
    put_command_us(&message, 0x0700, 0);
    put_command_us(&message, 0x0800, 1);
    put_command(&message, 0x1000, zeros, UID_LENGTH);
    o->command_uid = message.at + message.fill - UID_LENGTH - 1;
    finish_command(&message, begin);
    pdata_header(
        message.at, message.fill - HEADERS, CT_CONTEXT, PDV_COMMAND | PDV_LAST);

    size_t first_header = message.fill;
    reserve(&message, HEADERS);
    if (given->bytes)
        size = given->size;
    else
        o->data_set_uid = put_data_set_head(&message, size);
    size_t head = message.fill - first_header - HEADERS;
    uint64_t left = o->data_set_bytes = head + size;
    size_t fragment = (max_pdu - PDV_HEADER) & ~1u;
    size_t pdus = (size_t)((left + fragment - 1) / fragment);
    uint8_t *headers = malloc(pdus * HEADERS);
    o->parts = malloc((2 * pdus + 2 + size / PATTERN) * sizeof *o->parts);
    if (!headers || !o->parts)
        die("out of memory");
    if (head > fragment)
        die("PDU size %u is too small", max_pdu);
    o->count = 0;
    for (size_t i = 0; i < pdus; i++) {
        size_t n = left < fragment ? (size_t)left : fragment;
        uint8_t *header = i ? headers + i * HEADERS : message.at + first_header;
        pdata_header(header, n, CT_CONTEXT, left == n ? PDV_LAST : 0);
        if (i == 0) {
            add_part(o, message.at, message.fill);
            add_body(o, given, 0, n - head);
        } else {
            add_part(o, header, HEADERS);
            add_body(o, given, i * (uint64_t)fragment - head, n);
        }
        left -= n;
    }
}

/* 2.25. + base + process + counter: as long for every object. */
static void format_uid(char *uid, const char *base, unsigned process, uint64_t index)
{
    snprintf(uid, UID_LENGTH + 1, "2.25.%.18s%04u%08llu", base, process % 10000,
        (unsigned long long)(index % 100000000));
}

/* The same objects as files, for senders that read them. */
static int write_files(
    const char *directory, uint64_t first, uint64_t objects, uint64_t size,
    const char *uid_base)
{
    for (uint64_t i = first; i < first + objects; i++) {
        char path[PATH_MAX], uid[UID_LENGTH + 1];
        uint8_t space[HEAD_ROOM];
        struct bytes head = {space, 0, sizeof space};
        format_uid(uid, uid_base, 0, i);
        put_file_head(
            &head, CT_IMAGE_STORAGE, uid, EXPLICIT_VR_LITTLE_ENDIAN, "BENCHMARK");
        memcpy(put_data_set_head(&head, size), uid, UID_LENGTH);
        snprintf(path, sizeof path, "%s/%08llu.dcm", directory, (unsigned long long)i);
        FILE *file = fopen(path, "wbx");
        int ok = file && fwrite(head.at, head.fill, 1, file) == 1;
        for (uint64_t at = 0; ok && at < size;) {
            size_t n = size - at < PATTERN ? (size_t)(size - at) : PATTERN;
            ok = fwrite(pattern, n, 1, file) == 1;
            at += n;
        }
        if (!ok || fclose(file) != 0)
            die("%s: %s", path, strerror(errno));
    }
    return 0;
}

#endif
