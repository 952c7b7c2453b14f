/*
 * Fuzz target: any bytes as a K/V file. The first byte says how they are used: as they are, behind a sound header, or also with a right size and
 * checksum; then tokens and rows are what the fuzzer wants. Whatever comes, the timeline stays the beginning of the tokens asked for.
 */
#include "model/model.h"
#include "tiny_model.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N 40
#define HEADER 80

static const struct tiny_spec spec = {"fuzz", "llama", TENSOR_F32, 1, 32, 32, 2, 1, 16, 16, 128, 64, true, false, SCALING_NONE};
static struct session *session;
static struct kv_key key;
static int32_t ids[N];
static uint8_t sound[1 << 16];
static size_t n_sound;
static char path[64];

static void check(bool ok)
{
    if (!ok) abort();
}

static void put(const uint8_t *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    check(f && fwrite(bytes, 1, n, f) == n && !fclose(f));
}

static void set_up(void)
{
    char folder[] = "/tmp/ponder-fuzz-XXXXXX", model[64];
    struct tiny_model m;
    struct engine *engine;
    check(mkdtemp(folder) != NULL);
    snprintf(model, sizeof model, "%s/model.gguf", folder);
    snprintf(path, sizeof path, "%s/kv", folder);
    tiny_init(&m, &spec);
    check(!gw_save(&m.w, model, SIZE_MAX));
    tiny_release(&m);
    check(!engine_open(&engine, model, NULL) && !session_new(&session, engine, 64, 1, KV_F16, NULL));
    for (int i = 0; i < N; i++) ids[i] = i * 37 % 128;
    check(!session_prepare(session, ids, N, NULL, NULL, NULL) && !kv_key_start(&key, session, NULL));
    check(!session_save(session, &key, 0, N, path, NULL));
    FILE *f = fopen(path, "rb");
    check(f != NULL);
    n_sound = fread(sound, 1, sizeof sound, f);
    fclose(f);
    check(n_sound == session_file_bytes(session, N));
}

/* Gives the file the count of positions that its size stands for, and the checksum of what is in it. */
static void make_sound(uint8_t *bytes, size_t *n)
{
    size_t row = (size_t)(session_file_bytes(session, 1) - HEADER);
    uint32_t count = (uint32_t)((*n - HEADER) / row), sum = 0;
    *n = HEADER + count * row;
    memcpy(bytes + 28, &count, 4);
    memset(bytes + 72, 0, 4);
    sum = (uint32_t)crc32_z(0, bytes, *n);
    memcpy(bytes + 72, &sum, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[1 << 17];
    size_t n, had, now;
    if (!session) set_up();
    if (size < 2 || size > sizeof file - HEADER) return 0;
    int how = data[0] % 4;
    size_t already = data[1] % (N + 1);
    data += 2;
    n = size - 2;
    if (how == 3) {
        /* a sound file with some bytes changed: place and value by turns */
        memcpy(file, sound, n_sound);
        for (size_t i = 0; i + 2 < n; i += 3) file[((size_t)data[i] << 8 | data[i + 1]) % n_sound] ^= data[i + 2];
        n = n_sound;
    } else {
        size_t head = how ? HEADER : 0;
        memcpy(file, sound, head);
        memcpy(file + head, data, n);
        n += head;
        if (how == 2) make_sound(file, &n);
    }
    put(file, n);
    session_truncate(session, 0);
    check(!already || !session_prepare(session, ids, already, NULL, NULL, NULL));
    session_tokens(session, &had);
    int rc = session_load(session, &key, 0, ids, N, path, NULL);
    session_tokens(session, &now);
    check(rc == 0 || rc == ERR_FILE);
    check(rc ? now == had : now >= had);
    check(session_shared(session, ids, N) == now);
    return 0;
}
