/*
 * tasks.c - `ponder tasks`: exercises with exact answers as JSON lines, for training (with a line of thought) or as questions for `ponder sweep`;
 * `ponder tasks verify` judges replies; `ponder tasks list` names the families.
 *
 * The items asked for are dealt out over families and levels in turn, each with an index of its own, and no two ask the same. What is
 * written depends on the arguments alone.
 */
#include "cli/cli.h"
#include "cli/eval.h"
#include "model/model.h"
#include "tasks/tasks.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define FAMILIES_MAX 64
#define IN_VAIN_MAX  300 /* items in a row that were there before: a family has no more */

enum tasks_format { FORMAT_SFT, FORMAT_QUESTIONS };

/* A family at a level, and how far it has been dealt out. */
struct source {
    size_t family;
    int level;
    uint64_t index;
    bool dry;
};

struct tasks {
    bool families[FAMILIES_MAX];
    int level_min, level_max;
    long count;
    uint64_t seed;
    enum tasks_format format;
    enum task_half half;
    bool half_given;
    int fast, cut; /* in a hundred */
    const char *mix, *out;
    struct source *sources;
    size_t n_sources;
    uint64_t *seen; /* hashes of keys, open addressing; 0 free */
    size_t n_seen, cap_seen;
    struct task_random random; /* which items are fast or cut, and where what is mixed in goes */
    FILE *file;
    json_t **mixed;
    size_t n_mixed, next_mixed;
};

/* ---- what was there already ------------------------------------------------------------------------------------------ */

static uint64_t hash_of(const struct str *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s->len; i++) h = (h ^ (unsigned char)s->data[i]) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

static bool place(uint64_t *table, size_t cap, uint64_t h)
{
    size_t i = h & (cap - 1);
    while (table[i] && table[i] != h) i = (i + 1) & (cap - 1);
    bool fresh = !table[i];
    table[i] = h;
    return fresh;
}

/* 1 new, 0 there before, -1 out of memory. */
static int remember(struct tasks *t, uint64_t h)
{
    if (2 * (t->n_seen + 1) > t->cap_seen) {
        size_t cap = t->cap_seen ? 2 * t->cap_seen : 1024;
        uint64_t *more = calloc(cap, sizeof *more);
        if (!more) return -1;
        for (size_t i = 0; i < t->cap_seen; i++)
            if (t->seen[i]) place(more, cap, t->seen[i]);
        free(t->seen);
        t->seen = more;
        t->cap_seen = cap;
    }
    bool fresh = place(t->seen, t->cap_seen, h);
    t->n_seen += fresh;
    return fresh;
}

/* ---- lines ------------------------------------------------------------------------------------------------------------- */

static int write_line(struct tasks *t, json_t *o, struct err *e)
{
    char *text = o ? json_write(o, JSON_COMPACT) : NULL;
    if (!text) return err_set(e, ERR_NOMEM, "out of memory");
    bool ok = fputs(text, t->file) >= 0 && fputc('\n', t->file) >= 0;
    free(text);
    return ok ? 0 : err_set_errno(e, ERR_IO, "%s", t->out ? t->out : "standard output");
}

static json_t *text_of(const struct str *s)
{
    return json_stringn(str_cstr(s), s->len);
}

/* The thought up to the end of one of its lines, and the sentence by which the program ends a thought whose budget is spent. That one is not learnt:
 * a model that says it by itself gives up. */
static json_t *cut_thought(struct tasks *t, const struct task_item *it, json_t **slip)
{
    struct str text = STR_EMPTY;
    const char *wrap_up = family_by_name("smollm2")->wrap_up;
    size_t at = task_random_below(&t->random, (uint32_t)it->thought.len + 1);
    while (at > 0 && it->thought.data[at - 1] != '\n') at--;
    str_add_bytes(&text, it->thought.data, at ? at - 1 : 0);
    *slip = json_pack("[ii]", (int)text.len, (int)strlen(wrap_up));
    str_add(&text, wrap_up);
    json_t *o = text_of(&text);
    str_release(&text);
    return o;
}

static json_t *sft_line(struct tasks *t, const struct task_item *it)
{
    int dice = (int)task_random_below(&t->random, 100);
    json_t *slip = NULL, *reply;
    if (dice < t->fast) {
        /* a thought that was closed as it opened stands in the text: there is none to be kept apart */
        struct str text = STR_EMPTY;
        str_addf(&text, "<think>\n\n</think>\n\n%s", str_cstr(&it->reply));
        reply = json_pack("{s:s, s:o}", "role", "assistant", "content", text_of(&text));
        str_release(&text);
    } else {
        /* one slip can be told: a thought that has one of its own stays whole */
        json_t *thought = dice < t->fast + t->cut && !it->slip.len ? cut_thought(t, it, &slip) : text_of(&it->thought);
        if (!slip && it->slip.len) slip = json_pack("[ii]", (int)it->slip.from, (int)it->slip.len);
        reply = json_pack("{s:s, s:o, s:o}", "role", "assistant", "reasoning_content", thought, "content", text_of(&it->reply));
    }
    json_t *o = json_pack("{s:[{s:s, s:o}, o], s:o, s:s, s:s, s:i, s:o}", "messages", "role", "user", "content", text_of(&it->question), reply, "answer",
                          text_of(&it->answer), "check", task_check_name(it->check), "family", task_family_name((size_t)it->family), "level", it->level,
                          "slip", slip ? slip : json_array());
    /* letters that were put down one by one stay apart */
    if (o && it->check == TASK_LETTERS) json_object_set_new(o, "spelled", text_of(&it->answer));
    return o;
}

static json_t *question_line(const struct task_item *it)
{
    return json_pack("{s:o, s:o, s:s, s:s, s:i}", "question", text_of(&it->question), "answer", text_of(&it->answer), "check", task_check_name(it->check),
                     "family", task_family_name((size_t)it->family), "level", it->level);
}

/* ---- what is mixed in -------------------------------------------------------------------------------------------------- */

static int load_mixed(struct tasks *t, struct err *e)
{
    struct str text = STR_EMPTY;
    size_t cap = 0, number = 1;
    int rc = t->mix ? file_read(&text, t->mix, (size_t)1 << 30, e) : 0;
    for (size_t at = 0; !rc && at < text.len; number++) {
        const char *begin = text.data + at, *nl = memchr(begin, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - begin) : text.len - at;
        json_error_t why;
        at += n + 1;
        if (!n) continue;
        json_t *o = json_loadb(begin, n, 0, &why);
        if (!json_is_array(json_object_get(o, "messages")))
            rc = err_set(e, ERR_FILE, "%s:%zu: %s", t->mix, number, o ? "has no \"messages\"" : why.text);
        else if (!mem_grow(&t->mixed, &cap, t->n_mixed + 1, sizeof *t->mixed))
            rc = err_set(e, ERR_NOMEM, "out of memory");
        if (rc)
            json_decref(o);
        else
            t->mixed[t->n_mixed++] = o;
    }
    str_release(&text);
    return rc;
}

/* Those that are due when `done` of the items are written, so that they lie evenly between them. */
static int write_mixed(struct tasks *t, long done, struct err *e)
{
    size_t due = t->count ? (size_t)((double)t->n_mixed * (double)done / (double)t->count) : t->n_mixed;
    int rc = 0;
    while (!rc && t->next_mixed < due) rc = write_line(t, t->mixed[t->next_mixed++], e);
    return rc;
}

/* ---- items -------------------------------------------------------------------------------------------------------------- */

/* The next item of a source that nothing like it was written of. False when it has no more, or on an error. */
static bool next_item(struct tasks *t, struct source *s, struct task_item *it, struct err *e)
{
    for (int in_vain = 0; in_vain < IN_VAIN_MAX; in_vain++) {
        int rc = task_make(it, s->family, s->level, t->seed, s->index++, t->half, e);
        if (rc) {
            if (rc == ERR_NOT_FOUND) *e = (struct err){0};
            s->dry = true;
            return false;
        }
        int fresh = remember(t, hash_of(&it->key));
        if (fresh < 0) err_set(e, ERR_NOMEM, "out of memory");
        if (fresh) return fresh > 0;
    }
    s->dry = true;
    return false;
}

static int write_items(struct tasks *t, struct err *e)
{
    struct task_item it = {0};
    long done = 0;
    size_t dry = 0;
    int rc = 0;
    for (size_t i = 0; !rc && done < t->count && dry < t->n_sources; i = (i + 1) % t->n_sources) {
        struct source *s = &t->sources[i];
        if (s->dry) continue;
        bool got = next_item(t, s, &it, e);
        rc = e->code;
        dry += s->dry;
        if (!got || rc) continue;
        json_t *o = t->format == FORMAT_SFT ? sft_line(t, &it) : question_line(&it);
        rc = write_line(t, o, e);
        json_decref(o);
        if (!rc) rc = write_mixed(t, ++done, e);
    }
    task_item_release(&it);
    if (!rc && done < t->count) fprintf(stderr, "ponder: there are only %ld different ones\n", done);
    return rc;
}

static int make_sources(struct tasks *t, struct err *e)
{
    size_t n = task_families(), levels = (size_t)(t->level_max - t->level_min + 1);
    t->sources = calloc(n * levels, sizeof *t->sources);
    if (!t->sources) return err_set(e, ERR_NOMEM, "out of memory");
    for (int level = t->level_min; level <= t->level_max; level++)
        for (size_t f = 0; f < n; f++)
            if (t->families[f]) t->sources[t->n_sources++] = (struct source){.family = f, .level = level};
    return 0;
}

/* ---- verify ------------------------------------------------------------------------------------------------------------- */

/* Why a line cannot be judged, NULL when it can; *right tells. */
static const char *judge(const json_t *o, bool *right, struct str *got, const char **check)
{
    const json_t *a = json_object_get(o, "answer"), *r = json_object_get(o, "reply"), *c = json_object_get(o, "check");
    enum task_check kind;
    char number[64];
    if (!json_is_string(r)) return "has no \"reply\"";
    if (!json_is_string(a) && !json_is_number(a)) return "has no \"answer\"";
    if (json_is_number(a)) snprintf(number, sizeof number, "%.15g", json_number_value(a));
    const char *want = json_is_string(a) ? json_string_value(a) : number;
    if (!c)
        kind = task_check_of(want);
    else if (!json_is_string(c) || !task_check_by_name(json_string_value(c), &kind))
        return "its \"check\" is none that is known";
    *right = task_reply_is_right(kind, want, json_string_value(r), json_string_length(r), got);
    *check = task_check_name(kind);
    return NULL;
}

static int verify_file(FILE *f, const char *name, struct err *e)
{
    char *text = NULL;
    size_t cap = 0, number = 0, right_ones = 0, n = 0;
    ssize_t len;
    int rc = 0;
    while (!rc && (len = getline(&text, &cap, f)) >= 0) {
        json_error_t why = {0};
        struct str got = STR_EMPTY;
        bool right = false;
        const char *check = "";
        number++;
        if (text[strspn(text, " \t\r\n")] == '\0') continue;
        json_t *o = json_loadb(text, (size_t)len, 0, &why);
        const char *reason = o ? judge(o, &right, &got, &check) : why.text;
        if (reason) {
            rc = err_set(e, ERR_FILE, "%s:%zu: %s", name, number, reason);
        } else {
            json_t *line = json_pack("{s:b, s:o, s:s}", "right", right, "got", json_stringn(str_cstr(&got), got.len), "check", check);
            char *out = line ? json_write(line, JSON_COMPACT) : NULL;
            if (out) puts(out);
            free(out);
            json_decref(line);
            n++;
            right_ones += right;
        }
        json_decref(o);
        str_release(&got);
    }
    free(text);
    if (!rc) fprintf(stderr, "%zu of %zu right\n", right_ones, n);
    return rc;
}

static int cmd_tasks_verify(int argc, char **argv)
{
    struct err e = {0};
    if (argc > 2) return cli_usage("tasks", "verify takes one file, or standard input");
    FILE *f = argc > 1 && strcmp(argv[1], "-") ? fopen(argv[1], "re") : stdin;
    if (!f) {
        err_set_errno(&e, ERR_FILE, "%s", argv[1]);
        return cli_fail(&e);
    }
    int rc = verify_file(f, f == stdin ? "standard input" : argv[1], &e);
    if (f != stdin) fclose(f);
    return rc ? cli_fail(&e) : cli_finish(0);
}

static int cmd_tasks_list(void)
{
    for (size_t i = 0; i < task_families(); i++) printf("%-12s%s\n", task_family_name(i), task_family_about(i));
    return cli_finish(0);
}

/* ---- arguments ----------------------------------------------------------------------------------------------------------- */

static int parse_families(struct tasks *t, const char *list, struct err *e)
{
    memset(t->families, 0, sizeof t->families);
    while (*list) {
        char name[32];
        size_t n = strcspn(list, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name - 1 ? n : sizeof name - 1), list);
        int f = task_family_by_name(name);
        if (!strcmp(name, "all"))
            for (size_t i = 0; i < task_families(); i++) t->families[i] = true;
        else if (f < 0)
            return err_set(e, ERR_USAGE, "--family: \"%s\" is no family (see `ponder tasks list`)", name);
        else
            t->families[f] = true;
        list += n + (list[n] == ',');
    }
    return 0;
}

static bool whole_number(const char *text, long low, long high, long *out)
{
    char *end;
    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && !*end && !errno && *out >= low && *out <= high;
}

static int parse_number(const char *name, const char *text, long low, long high, long *out, struct err *e)
{
    if (whole_number(text, low, high, out)) return 0;
    return err_set(e, ERR_USAGE, "%s: \"%s\" is no number from %ld to %ld", name, text, low, high);
}

static int parse_half(struct tasks *t, const char *text, struct err *e)
{
    static const char *const names[] = {[TASK_TRAINING] = "training", [TASK_HELD_OUT] = "held-out", [TASK_ANY] = "any"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i], text)) {
            t->half = (enum task_half)i;
            t->half_given = true;
            return 0;
        }
    return err_set(e, ERR_USAGE, "--half: \"%s\" is none of: training, held-out, any", text);
}

static int parse_option(struct tasks *t, const char *name, const char *value, struct err *e)
{
    long n = 0;
    int rc;
    if (!strcmp(name, "--family")) return parse_families(t, value, e);
    if (!strcmp(name, "--level")) return levels_parse(value, &t->level_min, &t->level_max, e);
    if (!strcmp(name, "--half")) return parse_half(t, value, e);
    if (!strcmp(name, "--count")) return parse_number(name, value, 1, 100000000, &t->count, e);
    if (!strcmp(name, "--mix")) {
        t->mix = value;
        return 0;
    }
    if (!strcmp(name, "-o")) {
        t->out = value;
        return 0;
    }
    if (!strcmp(name, "--format")) {
        bool questions = !strcmp(value, "questions");
        if (!questions && strcmp(value, "sft")) return err_set(e, ERR_USAGE, "--format: \"%s\" is none of: sft, questions", value);
        t->format = questions ? FORMAT_QUESTIONS : FORMAT_SFT;
        return 0;
    }
    rc = parse_number(name, value, 0, strcmp(name, "--seed") ? 100 : 0x7fffffff, &n, e);
    if (!strcmp(name, "--seed")) t->seed = (uint64_t)n;
    if (!strcmp(name, "--fast")) t->fast = (int)n;
    if (!strcmp(name, "--cut")) t->cut = (int)n;
    return rc;
}

static int parse(struct tasks *t, int argc, char **argv, struct err *e)
{
    static const char *const own[] = {"--family", "--level", "--count", "--seed", "--format", "--half", "--fast", "--cut", "--mix", "-o"};
    int rc = parse_families(t, "all", e);
    for (int i = 1; !rc && i < argc; i += 2) {
        size_t k = 0;
        while (k < ARRAY_LEN(own) && strcmp(own[k], argv[i])) k++;
        if (k == ARRAY_LEN(own))
            rc = err_set(e, ERR_USAGE, "tasks: unknown option %s (see `ponder help tasks`)", argv[i]);
        else
            rc = i + 1 < argc ? parse_option(t, own[k], argv[i + 1], e) : err_set(e, ERR_USAGE, "tasks: %s needs a value", argv[i]);
    }
    if (!rc && t->fast + t->cut > 100) rc = err_set(e, ERR_USAGE, "tasks: --fast and --cut together are more than all items");
    if (!rc && t->format == FORMAT_QUESTIONS && (t->fast || t->cut || t->mix)) rc = err_set(e, ERR_USAGE, "tasks: --fast, --cut and --mix go with --format sft");
    if (!rc && !t->half_given) t->half = t->format == FORMAT_SFT ? TASK_TRAINING : TASK_HELD_OUT;
    return rc;
}

int cmd_tasks(int argc, char **argv)
{
    struct tasks t = {.level_min = 1, .level_max = 3, .count = 100, .seed = 1};
    struct err e = {0};
    if (argc > 1 && !strcmp(argv[1], "verify")) return cmd_tasks_verify(argc - 1, argv + 1);
    if (argc > 1 && !strcmp(argv[1], "list")) return cmd_tasks_list();
    int rc = parse(&t, argc, argv, &e);
    t.random.state = t.seed;
    if (!rc) rc = load_mixed(&t, &e);
    if (!rc) rc = make_sources(&t, &e);
    if (!rc) {
        t.file = t.out && strcmp(t.out, "-") ? fopen(t.out, "we") : stdout;
        if (!t.file) rc = err_set_errno(&e, ERR_IO, "%s", t.out);
    }
    if (!rc) rc = write_items(&t, &e);
    if (t.file && t.file != stdout && fclose(t.file) && !rc) rc = err_set_errno(&e, ERR_IO, "%s", t.out);
    for (size_t i = 0; i < t.n_mixed; i++) json_decref(t.mixed[i]);
    free(t.mixed);
    free(t.sources);
    free(t.seen);
    return rc ? cli_fail(&e) : cli_finish(0);
}
