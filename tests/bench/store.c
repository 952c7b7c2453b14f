/*
 * store.c - speed of a large record: opening it, listing, searching, loading a branch. Exit 1 where a promise of the record is not kept: open below
 * 100 ms and a search below 50 ms with 100,000 messages.
 *
 * usage: store [MESSAGES | FILE]        the record is made in a temporary folder and removed; or FILE is measured
 *
 * Limits are held against the processor's time, so that other work of the machine does not count; the wall clock's is shown beside it.
 */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS     9
#define TURNS_EACH 10 /* exchanges in a conversation */

static struct err err;

static void must(int rc)
{
    if (!rc) return;
    fprintf(stderr, "bench-store: %s\n", err.text);
    exit(1);
}

/* A word of a vocabulary of `of` words; common ones come often, as words do. */
static void word(struct str *out, unsigned *seed, unsigned of)
{
    double r = (double)(rand_r(seed) % 65536) / 65536;
    str_addf(out, "%sw%u", out->len ? " " : "", (unsigned)(r * r * r * of));
}

static void text(struct str *out, unsigned *seed, int words)
{
    str_clear(out);
    for (int i = 0; i < words; i++) word(out, seed, 20000);
}

/* A JSON file of ponder's own kind, which comes in in one transaction. */
static void fill(const char *db, const char *json, int messages)
{
    struct str t = STR_EMPTY;
    struct import_report report = {0};
    struct store *s = NULL;
    unsigned seed = 1;
    FILE *f = fopen(json, "w");
    if (!f) exit(1);
    for (int m = 0; m < messages; m += 2 * TURNS_EACH) {
        fprintf(f, "{\"messages\":[");
        for (int k = 0; k < TURNS_EACH; k++) {
            text(&t, &seed, 12);
            fprintf(f, "%s{\"role\":\"user\",\"content\":\"c%d %s\"}", k ? "," : "", m, str_cstr(&t));
            text(&t, &seed, 40);
            fprintf(f, ",{\"role\":\"assistant\",\"content\":\"%s\",\"reasoning_content\":\"", str_cstr(&t));
            text(&t, &seed, 60);
            fprintf(f, "%s%s\"}", str_cstr(&t), m == messages / 2 && k == 3 ? " needleword" : "");
        }
        fprintf(f, "]}\n");
    }
    fclose(f);
    str_release(&t);
    must(store_open(&s, db, &err));
    must(store_import(s, json, false, &report, &err));
    import_report_release(&report);
    store_close(s);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

struct bench {
    const char *db;
    struct store *s;
    const char *words;
    size_t found;
};

static void do_open(struct bench *b)
{
    store_close(b->s);
    b->s = NULL;
    must(store_open(&b->s, b->db, &err));
}

static void do_list(struct bench *b)
{
    struct conversation_list l;
    must(store_list(b->s, 100, 0, &l, &err));
    b->found = l.n;
    conversation_list_release(&l);
}

static void do_search(struct bench *b)
{
    struct search_hits h;
    must(store_search(b->s, b->words, SEARCH_ALL, 20, &h, &err));
    b->found = h.n;
    search_hits_release(&h);
}

static void do_branch(struct bench *b)
{
    struct message_list l;
    must(store_load_branch(b->s, 1, &l, &err));
    b->found = l.n;
    message_list_release(&l);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1000 + (double)t.tv_nsec / 1e6;
}

/* The medians of the rounds, in milliseconds; 0 where the limit is kept or there is none. */
static int measure(struct bench *b, const char *name, void (*what)(struct bench *), double limit)
{
    double cpu[ROUNDS], wall[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_mono_us();
        double before = cpu_ms();
        what(b);
        cpu[i] = cpu_ms() - before;
        wall[i] = (double)(clock_mono_us() - start) / 1000;
    }
    qsort(cpu, ROUNDS, sizeof cpu[0], by_value);
    qsort(wall, ROUNDS, sizeof wall[0], by_value);
    bool kept = limit <= 0 || cpu[ROUNDS / 2] < limit;
    printf("%-28s %8.2f ms  (wall %8.2f)", name, cpu[ROUNDS / 2], wall[ROUNDS / 2]);
    if (limit > 0) printf("  limit %.0f%s", limit, kept ? "" : "  NOT KEPT");
    printf("  %zu found\n", b->found);
    return !kept;
}

int main(int argc, char **argv)
{
    bool given = argc > 1 && access(argv[1], F_OK) == 0;
    int messages = argc > 1 ? atoi(argv[1]) : 100000, bad = 0;
    char folder[] = "/tmp/ponder-bench-XXXXXX", db[64], json[64], command[96];
    if (!given && (messages < 1 || !mkdtemp(folder))) return 1;
    snprintf(db, sizeof db, "%s/r.db", folder);
    snprintf(json, sizeof json, "%s/r.jsonl", folder);
    if (!given) {
        int64_t start = clock_mono_ms();
        fill(db, json, messages);
        printf("%d messages made in %.1f s\n", messages, (double)(clock_mono_ms() - start) / 1000);
    }
    struct bench b = {.db = given ? argv[1] : db};
    bad |= measure(&b, "open", do_open, 100);
    bad |= measure(&b, "list of 100 conversations", do_list, 0);
    bad |= measure(&b, "a branch", do_branch, 0);
    static const char *const words[] = {"needleword", "w15000", "w300 w20", "w5", "w1 w2 w3", "\"w2 w1\"", "w4*"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        char name[40];
        b.words = words[i];
        snprintf(name, sizeof name, "search %s", words[i]);
        bad |= measure(&b, name, do_search, 50);
    }
    store_close(b.s);
    if (given) return bad;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) || bad;
}
