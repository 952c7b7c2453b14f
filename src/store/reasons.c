/*
 * reasons.c - the reasons offered for a rating.
 *
 * A rating up has other reasons than one down, and a thought fails in other ways than an answer. The names are what ends up in the record,
 * so that they can be filtered by; changing a list changes nothing that was rated before.
 */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define REASON_BYTES 60

static const char *const built_in[2][2] = {
    [PART_ANSWER] = {"wrong,did not follow instructions,incomplete,too long,unclear,bad style,wrongly refused,made things up,lazy",
                     "correct,followed instructions,complete,to the point,clear,well written,creative,careful,helpful"},
    [PART_THOUGHT] =
        {"wrong step,loops,too long,too short,off topic,ignored by the answer,gave up,wrong language,unclear",
         "sound,found the key step,checked itself,right length,considered alternatives,corrected itself,clear,on topic,well planned"},
};

static void clear_list(char **names)
{
    for (int i = 0; i < REASONS_MAX; i++) {
        free(names[i]);
        names[i] = NULL;
    }
}

void reason_lists_release(struct reason_lists *l)
{
    if (!l) return;
    for (int part = 0; part < 2; part++)
        for (int up = 0; up < 2; up++) clear_list(l->names[part][up]);
}

/* The names between commas replace what is in the list. */
static int set_list(char **names, const char *text, struct err *e)
{
    int n = 0;

    clear_list(names);
    while (*text) {
        size_t len = strcspn(text, ",");
        const char *from = text, *to = text + len;
        while (from < to && *from == ' ') from++;
        while (to > from && to[-1] == ' ') to--;
        size_t bytes = (size_t)(to - from);
        text += len + (text[len] == ',');
        if (bytes == 0) continue;
        if (n == REASONS_MAX) return err_set(e, ERR_FILE, "a list has at most %d reasons", REASONS_MAX);
        if (bytes > REASON_BYTES || !utf8_is_valid(from, bytes))
            return err_set(e, ERR_FILE, "a reason has at most %d bytes of UTF-8", REASON_BYTES);
        names[n] = mem_dup_text(from, bytes);
        if (!names[n++]) return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

static int on_value(void *arg, const char *section, const char *name, const char *value, struct err *e)
{
    struct reason_lists *l = arg;
    int part = !strcmp(section, "answer") ? PART_ANSWER : !strcmp(section, "thought") ? PART_THOUGHT : -1;
    int up = !strcmp(name, "up") ? 1 : !strcmp(name, "down") ? 0 : -1;

    if (part < 0) return err_set(e, ERR_FILE, "[%s]: the sections are answer and thought", section);
    if (up < 0) return err_set(e, ERR_FILE, "%s: the lists are up and down", name);
    return set_list(l->names[part][up], value, e);
}

int reason_lists_load(struct reason_lists *out, const char *path, struct err *e)
{
    *out = (struct reason_lists){0};
    for (int part = 0; part < 2; part++)
        for (int up = 0; up < 2; up++) {
            int rc = set_list(out->names[part][up], built_in[part][up], e);
            if (rc) return rc;
        }
    int rc = path ? ini_read(path, on_value, out, e) : 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}
