/* tasks.c - the table of families, and how an item comes to be: a maker with a generator of its own, from family, level, seed and index. */
#include "tasks/internal.h"

#include <string.h>

static const struct family_entry {
    const char *name, *about;
    void (*make)(struct maker *m);
} families[] = {
#define X(name, about) {#name, about, make_##name},
    TASK_FAMILIES(X)
#undef X
};

size_t task_families(void)
{
    return ARRAY_LEN(families);
}

const char *task_family_name(size_t family)
{
    return family < ARRAY_LEN(families) ? families[family].name : "";
}

const char *task_family_about(size_t family)
{
    return family < ARRAY_LEN(families) ? families[family].about : "";
}

int task_family_by_name(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (!strcmp(families[i].name, name)) return (int)i;
    return -1;
}

static uint64_t fnv(uint64_t h, const void *bytes, size_t n)
{
    for (const unsigned char *p = bytes; n--; p++) h = (h ^ *p) * UINT64_C(0x100000001b3);
    return h;
}

#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

bool task_is_held_out(const char *key_text, size_t n)
{
    return fnv(FNV_BASIS, key_text, n) % 10 == 0;
}

void task_item_release(struct task_item *it)
{
    struct str *all[] = {&it->question, &it->thought, &it->reply, &it->answer, &it->key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) str_release(all[i]);
    *it = (struct task_item){.family = 0};
}

static void clear(struct task_item *it)
{
    struct str *all[] = {&it->question, &it->thought, &it->reply, &it->answer, &it->key};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) str_clear(all[i]);
    it->slip = (struct task_slip){0};
}

static bool complete(const struct task_item *it)
{
    return str_ok(&it->question) && str_ok(&it->thought) && str_ok(&it->reply) && str_ok(&it->answer) && str_ok(&it->key);
}

/* The state that an attempt at an item begins with: a hash of all that names it. */
static uint64_t state_of(size_t family, int level, uint64_t seed, uint64_t index, unsigned attempt)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s %d %llu %llu %u", families[family].name, level, (unsigned long long)seed, (unsigned long long)index, attempt);
    return fnv(FNV_BASIS, text, (size_t)n);
}

#define SLIPS_IN_HUNDRED  12
#define CHECKS_IN_HUNDRED 25
#define ATTEMPTS          1000

int task_make(struct task_item *it, size_t family, int level, uint64_t seed, uint64_t index, enum task_half half, struct err *e)
{
    if (family >= ARRAY_LEN(families) || level < 1 || level > TASK_LEVELS)
        return err_set(e, ERR_INVALID, "there are %zu families with levels 1 to %d", ARRAY_LEN(families), TASK_LEVELS);
    for (unsigned attempt = 0; attempt < ATTEMPTS; attempt++) {
        struct maker m = {.random = {state_of(family, level, seed, index, attempt)}, .it = it, .level = level};
        clear(it);
        it->family = (int)family;
        it->level = level;
        m.slip_in = chance(&m, SLIPS_IN_HUNDRED) ? draw(&m, 0, 3) : -1;
        m.checks = chance(&m, CHECKS_IN_HUNDRED);
        str_addf(&it->key, "%s ", families[family].name);
        families[family].make(&m);
        if (!complete(it)) return err_set(e, ERR_NOMEM, "out of memory for an exercise");
        bool held_out = task_is_held_out(it->key.data, it->key.len);
        if (half == TASK_ANY || held_out == (half == TASK_HELD_OUT)) return 0;
    }
    return err_set(e, ERR_NOT_FOUND, "family %s has no question of that half at level %d", families[family].name, level);
}

bool tasks_verify(const struct task_item *it, const char *text, size_t n)
{
    return task_reply_is_right(it->check, str_cstr(&it->answer), text, n, NULL);
}
