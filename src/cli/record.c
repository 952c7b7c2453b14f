/* record.c - arguments, times and JSON lines of the commands that read and change the record. */
#include "cli/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- arguments ------------------------------------------------------------------------------------------------- */

int args_begin(struct args *a, int argc, char **argv, const char *with_value, const char *without)
{
    *a = (struct args){.argc = argc, .at = 1, .argv = argv, .with_value = with_value, .without = without};
    return cli_settings(&a->set, &a->err) ? cli_fail(&a->err) : 0;
}

void args_end(struct args *a)
{
    settings_release(&a->set);
}

bool args_is(const struct args *a, const char *name)
{
    return !strcmp(a->name, name);
}

/* Whether the space separated list has the name, len bytes long. */
static bool listed(const char *list, const char *name, size_t len)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && !memcmp(p, name, n)) return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

static enum args_kind bad(struct args *a, const char *what)
{
    cli_usage(a->argv[0], "%s %s", what, a->argv[a->at]);
    return ARGS_BAD;
}

enum args_kind args_next(struct args *a)
{
    for (; a->at < a->argc; a->at++) {
        const char *arg = a->argv[a->at];
        size_t len = strcspn(arg, "=");
        if (a->only_words || arg[0] != '-' || !arg[1]) {
            a->value = arg;
            a->at++;
            return ARGS_WORD;
        }
        if (!strcmp(arg, "--")) {
            a->only_words = true;
            continue;
        }
        if (len == 4 && !memcmp(arg, "--db", 4)) {
            if (settings_take_flag(&a->set, a->argc, a->argv, &a->at, &a->err) < 0) {
                cli_fail(&a->err);
                return ARGS_BAD;
            }
            a->at--; /* it stands behind what was used */
            continue;
        }
        bool takes_value = listed(a->with_value, arg, len);
        if (!takes_value && (arg[len] || !listed(a->without, arg, len))) return bad(a, "unknown option");
        snprintf(a->name, sizeof a->name, "%.*s", (int)len, arg);
        a->value = NULL;
        if (takes_value && arg[len]) {
            a->value = arg + len + 1;
        } else if (takes_value) {
            if (a->at + 1 >= a->argc) return bad(a, "a value is missing behind");
            a->value = a->argv[++a->at];
        }
        a->at++;
        return ARGS_FLAG;
    }
    return ARGS_END;
}

int args_one_word(struct args *a, const char *what, const char **word, bool *json)
{
    enum args_kind kind;

    *word = NULL;
    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_FLAG) {
            *json = true;
        } else if (*word) {
            return cli_usage(a->argv[0], "one %s at a time", what);
        } else {
            *word = a->value;
        }
    }
    return *word ? 0 : cli_usage(a->argv[0], "name a %s", what);
}

/* ---- the record -------------------------------------------------------------------------------------------------- */

int record_open(struct store **out, const struct settings *set, struct err *e)
{
    struct str path = STR_EMPTY;
    struct stat st;

    *out = NULL;
    int rc = set->db[0] ? 0 : path_of(&path, PATH_DATA, "ponder.db", e);
    if (set->db[0]) str_add(&path, set->db);
    if (!rc && !str_ok(&path)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc && !set->private_chat && lstat(str_cstr(&path), &st) != 0 && errno == ENOENT) {
        if (set->db[0]) {
            fputs("ponder: ", stderr);
            record_put_line(stderr, str_cstr(&path));
            fputs(": does not exist yet\n", stderr);
        }
        rc = store_open(out, NULL, e);
    } else if (!rc) {
        rc = cli_store_open(out, set, e);
    }
    str_release(&path);
    return rc;
}

bool record_parse_time(const char *text, bool last, int64_t *out_ms)
{
    static const struct {
        const char *format;
        int64_t seconds;
    } forms[] = {{"%Y-%m-%d", 86400}, {"%Y-%m-%dT%H:%M", 60}, {"%Y-%m-%dT%H:%M:%S", 1}};

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i].format, &tm);
        if (end && *end == 'Z' && i > 0) end++;
        if (!end || *end) continue;
        struct tm same = tm;
        int64_t seconds = timegm(&same);
        if (same.tm_mday != tm.tm_mday || seconds <= 0) return false; /* 30 February */
        *out_ms = 1000 * (seconds + (last ? forms[i].seconds : 0));
        return true;
    }
    return false;
}

bool record_parse_rating(const char *text, int *out)
{
    static const struct {
        const char *name;
        int value;
    } ratings[] = {{"up", 1}, {"+1", 1}, {"1", 1}, {"none", 0}, {"0", 0}, {"down", -1}, {"-1", -1}, {"all", -1}};

    for (size_t i = 0; i < ARRAY_LEN(ratings); i++)
        if (!strcmp(text, ratings[i].name)) {
            *out = ratings[i].value;
            return true;
        }
    return false;
}

/* ---- output ------------------------------------------------------------------------------------------------------ */

void record_time(int64_t wall_ms, char out[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!localtime_r(&seconds, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M", &tm)) snprintf(out, 32, "-");
}

void record_put_line(FILE *f, const char *text)
{
    struct str line = STR_EMPTY;
    text_sanitize(&line, text, strlen(text), TEXT_ONE_LINE);
    fwrite(str_cstr(&line), 1, line.len, f);
    str_release(&line);
}

json_t *record_json_text(const char *text, size_t n)
{
    return json_stringn(text, n);
}

json_t *record_json_time(int64_t wall_ms)
{
    char text[32];
    clock_iso8601(wall_ms, text);
    return json_string(text);
}

int record_put_json(json_t *o)
{
    /* ASCII only: exact for a program, and no text of a model reaches a terminal raw */
    char *text = o ? json_write(o, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) : NULL;
    int rc = 0;

    json_decref(o);
    if (text) {
        puts(text);
    } else {
        struct err e = {0};
        err_set(&e, ERR_NOMEM, "out of memory");
        rc = cli_fail(&e);
    }
    free(text);
    return rc;
}

int args_only_json(struct args *a, int argc, char **argv, bool *json)
{
    enum args_kind kind;
    int code = args_begin(a, argc, argv, "", "--json");

    while (!code && (kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) code = 2;
        if (kind == ARGS_WORD) code = cli_usage(argv[0], "unknown argument %s", a->value);
        if (kind == ARGS_FLAG) *json = true;
    }
    return code;
}
