/*
 * settings.c - everything a user can set, and the one table that names it.
 *
 * Invariant: after settings_init every text in struct settings is an allocated string, and every value is one that the table
 * allows. A value that is refused leaves the old one in place.
 */
#include "base/number.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define AT(field) offsetof(struct settings, field)
#define INT64_TOP 9223372036854775807.0
#define SAVED_MAX 150 /* bytes of a value: some builds of inih take lines of 200 */

const struct setting settings_table[] = {
    {"model", "-m", SETTING_TEXT, SETTING_SHARED, AT(model), "smollm2-135m", 0, 0, "NAME|FILE", "model: a catalogue name or a GGUF file"},
    {"threads", "-t", SETTING_INT, SETTING_SHARED, AT(threads), "0", 0, 1024, "N", "worker threads; 0: one a physical core"},
    {"ctx", "-c", SETTING_INT, SETTING_SHARED, AT(ctx), "0", 0, 16777216, "N",
     "context in tokens; 0: what the model was trained for, at most 8192"},
    {"budget", "", SETTING_BUDGET, SETTING_SHARED, AT(budget), "400", 0, 0, "N|Ns|Nm|off|unlimited",
     "how much a reply may think: tokens, seconds or minutes"},
    {"think_min", "", SETTING_INT, SETTING_SHARED, AT(think_min), "0", 0, 1000000, "N", "the thought may not end before N tokens"},
    {"answer_max", "", SETTING_INT, SETTING_SHARED, AT(answer_max), "0", 0, 1000000, "N",
     "longest answer in tokens; 0: what the context has left"},
    {"temp", "", SETTING_REAL, SETTING_SHARED, AT(temp), "-1", -1, 5, "X", "temperature; 0 is greedy, below 0: the family's"},
    {"top_k", "", SETTING_INT, SETTING_SHARED, AT(top_k), "-1", -1, 1000000, "N",
     "sample among the N likeliest tokens; 0 is off, below 0: the family's"},
    {"top_p", "", SETTING_REAL, SETTING_SHARED, AT(top_p), "-1", -1, 1, "X",
     "sample among the likeliest tokens that make up X; 1 is off, below 0: the family's"},
    {"min_p", "", SETTING_REAL, SETTING_SHARED, AT(min_p), "-1", -1, 1, "X",
     "leave out tokens below X times the likeliest; 0 is off, below 0: the family's"},
    {"repeat_penalty", "", SETTING_REAL, SETTING_SHARED, AT(repeat_penalty), "-1", -1, 10, "X",
     "divide the logits of recent tokens by X; 1 is off, 0 and below: the default, 1"},
    {"seed", "", SETTING_INT64, SETTING_SHARED, AT(seed), "-1", -1, INT64_TOP, "N",
     "seed of the sampler; below 0: drawn for each reply and recorded"},
    {"system", "", SETTING_TEXT, SETTING_SHARED, AT(system), "", 0, 0, "TEXT", "system text"},
    {"think", "", SETTING_CHOICE, SETTING_SHARED, AT(think), "on", 0, 0, "on off", "let the model think before it answers"},
    {"cot", "", SETTING_CHOICE, SETTING_SHARED, AT(cot), "step", 0, 0, "step few off",
     "how models that were not trained to think are asked to: step by step, with worked examples too, or not at all"},
    {"lora", "", SETTING_TEXT, SETTING_SHARED, AT(lora), "", 0, 0, "FILE[:SCALE],...", "adapters put on the model, or none"},
    {"db", "", SETTING_TEXT, SETTING_SHARED, AT(db), "", 0, 0, "FILE", "conversations; empty: ponder.db in the data folder"},
    {"kv_disk", "", SETTING_INT, SETTING_SHARED, AT(kv_disk), "2048", 0, 1048576, "MB",
     "disk space for the evaluated beginnings of conversations, so that they go on at once; 0 keeps none"},
    {"kv", "", SETTING_CHOICE, SETTING_SHARED, AT(kv), "f16", 0, 0, "f16 q8_0",
     "how the context is kept: q8_0 takes half the memory of f16, and is a little less exact"},
    {"private", "", SETTING_BOOL, SETTING_SHARED, AT(private_chat), "off", 0, 0, "on|off", "keep nothing of this chat"},
    {"keep_thoughts", "", SETTING_BOOL, SETTING_SHARED, AT(keep_thoughts), "off", 0, 0, "on|off",
     "earlier thoughts stay in what the model sees"},
    {"loop_guard", "", SETTING_BOOL, SETTING_SHARED, AT(loop_guard), "on", 0, 0, "on|off", "close a thought that repeats itself"},
    {"speculate", "", SETTING_CHOICE, SETTING_SHARED, AT(speculate), "on", 0, 0, "on off",
     "evaluate likely next tokens ahead: faster, the same text"},
    {"mlock", "", SETTING_BOOL, SETTING_SHARED, AT(mlock), "off", 0, 0, "on|off", "hold the model in memory: never read from disk again"},
    {"sandbox", "", SETTING_BOOL, SETTING_SHARED, AT(sandbox), "on", 0, 0, "on|off",
     "write to ponder's own folders only, no sockets, no programs (read at the start)"},
    {"theme", "", SETTING_TEXT, SETTING_CHAT, AT(theme), "dark", 0, 0, "NAME|FILE", "colours"},
    {"layout", "", SETTING_CHOICE, SETTING_CHAT, AT(layout), "inline", 0, 0, "inline side",
     "where thoughts are: above the answer or beside it"},
    {"thoughts", "", SETTING_CHOICE, SETTING_CHAT, AT(thoughts), "auto", 0, 0, "auto tail full hidden", "how thoughts are shown"},
    {"live_keys", "", SETTING_CHOICE, SETTING_CHAT, AT(live_keys), "modified", 0, 0, "modified plain",
     "keys that steer a running thought: with Alt and F keys, or bare letters on an empty line too"},
    {"keys", "", SETTING_CHOICE, SETTING_CHAT, AT(keys), "", 0, 0, "emacs vi", "editing keys; empty: what inputrc says"},
    {"mouse", "", SETTING_BOOL, SETTING_CHAT, AT(mouse), "on", 0, 0, "on|off", "mouse clicks and wheel"},
};
const size_t settings_count = ARRAY_LEN(settings_table);

/* ---- budgets ------------------------------------------------------------------------------------------------ */

enum { BUDGET_TOKENS_MAX = 1000000, BUDGET_SECONDS_MAX = 86400 };

static int budget_usage(const char *text, struct err *e)
{
    size_t n = utf8_complete_prefix(text, strnlen(text, 60));
    return err_set(e, ERR_USAGE, "\"%.*s\" is not a budget: tokens (400), seconds (30s), minutes (2m), off or unlimited; at most %d or %ds",
                   (int)n, text, BUDGET_TOKENS_MAX, BUDGET_SECONDS_MAX);
}

int budget_parse(struct budget *out, const char *text, struct err *e)
{
    if (strcasecmp(text, "off") == 0) {
        *out = (struct budget){.kind = BUDGET_OFF};
        return 0;
    }
    if (strcasecmp(text, "unlimited") == 0) {
        *out = (struct budget){.kind = BUDGET_UNLIMITED};
        return 0;
    }
    char number[24];
    size_t n = strspn(text, "0123456789"), whole = n;
    double value;
    if (text[n] == '.' && strspn(text + n + 1, "0123456789") <= 3) n += 1 + strspn(text + n + 1, "0123456789");
    if (whole == 0 || n >= sizeof(number) || text[n - 1] == '.') return budget_usage(text, e);
    memcpy(number, text, n);
    number[n] = '\0';
    if (!number_parse_real(number, &value)) return budget_usage(text, e);
    if (text[n] == '\0') {
        if (n > whole || value > BUDGET_TOKENS_MAX) return budget_usage(text, e);
        *out = (struct budget){.kind = BUDGET_TOKENS, .amount = value};
        return 0;
    }
    if ((text[n] != 's' && text[n] != 'm') || text[n + 1] != '\0') return budget_usage(text, e);
    if (text[n] == 'm') value *= 60;
    if (value > BUDGET_SECONDS_MAX) return budget_usage(text, e);
    *out = (struct budget){.kind = BUDGET_SECONDS, .amount = value};
    return 0;
}

void budget_format(struct budget b, char out[32])
{
    double amount = b.amount > 0 ? b.amount : 0; /* NaN too */
    if (amount > 1e9) amount = 1e9;

    switch (b.kind) {
    case BUDGET_OFF: snprintf(out, 32, "off"); break;
    case BUDGET_UNLIMITED: snprintf(out, 32, "unlimited"); break;
    case BUDGET_TOKENS: snprintf(out, 32, "%lld", (long long)amount); break;
    default: {
        /* keys that change a running budget may leave a fraction: shown to the millisecond */
        long long ms = (long long)(amount * 1000 + 0.5);
        int n = snprintf(out, 32, "%lld", ms / 1000);
        if (ms % 1000) n += snprintf(out + n, 32 - (size_t)n, ".%03lld", ms % 1000);
        while (ms % 1000 && out[n - 1] == '0') n--;
        snprintf(out + n, 32 - (size_t)n, "s");
    }
    }
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static void *field(const struct settings *s, const struct setting *d)
{
    return (char *)(uintptr_t)s + d->offset;
}

static bool is_text(const struct setting *d)
{
    return d->type == SETTING_TEXT || d->type == SETTING_CHOICE;
}

/* "label: "value" is not ..." with the value cut to a readable length. */
static int refuse(struct err *e, const char *label, const char *value, const char *what)
{
    size_t len = strlen(value), n = utf8_complete_prefix(value, len < 60 ? len : 60);
    return err_set(e, ERR_USAGE, "%s: \"%.*s%s\" is not %s", label, (int)n, value, n < len ? "..." : "", what);
}

static int refuse_number(struct err *e, const struct setting *d, const char *label, const char *value)
{
    char what[128], low[32], high[32];
    const char *kind = d->type == SETTING_REAL ? "a number" : "a whole number";

    number_format_real(d->min, low);
    number_format_real(d->max, high);
    if (d->max >= INT64_TOP) {
        snprintf(what, sizeof(what), "%s from %s to 9223372036854775807", kind, low);
    } else {
        if (d->type != SETTING_REAL) snprintf(high, sizeof(high), "%lld", (long long)d->max);
        snprintf(what, sizeof(what), "%s between %s and %s", kind, low, high);
    }
    return refuse(e, label, value, what);
}

/* Whether word is one of the space separated words. */
static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);

    if (n == 0 || strchr(word, ' ')) return false;
    for (const char *at = words; (at = strstr(at, word)) != NULL; at += n) {
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0')) return true;
    }
    return false;
}

static int refuse_choice(struct err *e, const struct setting *d, const char *label, const char *value)
{
    char what[128] = "one of: ";
    size_t n = strlen(what);

    for (const char *c = d->choices; *c && n + 3 < sizeof(what); c++) {
        if (*c == ' ') what[n++] = ',';
        what[n++] = *c;
    }
    what[n] = '\0';
    return refuse(e, label, value, what);
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const words[2][4] = {{"off", "false", "no", "0"}, {"on", "true", "yes", "1"}};

    for (int v = 0; v < 2; v++) {
        for (size_t i = 0; i < ARRAY_LEN(words[v]); i++) {
            if (strcasecmp(text, words[v][i]) == 0) {
                *out = v == 1;
                return true;
            }
        }
    }
    return false;
}

static int set_text(struct settings *s, const struct setting *d, const char *label, const char *value, struct err *e)
{
    char **text = field(s, d);

    /* empty is a value where it is the default */
    if (!value[0] && d->initial[0]) return err_set(e, ERR_USAGE, "%s: may not be empty", label);
    if (d->type == SETTING_CHOICE && value[0] && !has_word(d->choices, value)) return refuse_choice(e, d, label, value);
    char *copy = mem_dup_text(value, strlen(value));
    if (!copy) return err_set(e, ERR_NOMEM, "out of memory");
    free(*text);
    *text = copy;
    return 0;
}

/* Sets the field of d. label is what the user wrote the value for: the setting, flag or variable. */
static int set_value(struct settings *s, const struct setting *d, const char *label, const char *value, struct err *e)
{
    void *at = field(s, d);
    double real = 0;
    int64_t whole = 0;
    bool flag;
    struct budget budget;
    struct err inner;

    switch (d->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE: return set_text(s, d, label, value, e);
    case SETTING_INT:
    case SETTING_INT64:
        if (!number_parse_int(value, &whole) || (double)whole < d->min || (double)whole > d->max) return refuse_number(e, d, label, value);
        if (d->type == SETTING_INT64) {
            *(int64_t *)at = whole;
        } else {
            *(int *)at = (int)whole;
        }
        return 0;
    case SETTING_REAL:
        if (!number_parse_real(value, &real) || real < d->min || real > d->max) return refuse_number(e, d, label, value);
        *(double *)at = real;
        return 0;
    case SETTING_BOOL:
        if (!parse_bool(value, &flag)) return refuse(e, label, value, "on or off");
        *(bool *)at = flag;
        return 0;
    case SETTING_BUDGET:
        if (budget_parse(&budget, value, &inner) != 0) return err_set(e, ERR_USAGE, "%s: %s", label, inner.text);
        *(struct budget *)at = budget;
        return 0;
    }
    return err_set(e, ERR_FAILED, "%s: unknown type of setting", label);
}

void settings_get(const struct settings *s, const struct setting *d, struct str *out)
{
    const void *at = field(s, d);
    char text[32];

    switch (d->type) {
    case SETTING_TEXT:
    case SETTING_CHOICE: str_add(out, *(char *const *)at); break;
    case SETTING_INT: str_addf(out, "%d", *(const int *)at); break;
    case SETTING_INT64: str_addf(out, "%lld", (long long)*(const int64_t *)at); break;
    case SETTING_REAL:
        number_format_real(*(const double *)at, text);
        str_add(out, text);
        break;
    case SETTING_BOOL: str_add(out, *(const bool *)at ? "on" : "off"); break;
    case SETTING_BUDGET:
        budget_format(*(const struct budget *)at, text);
        str_add(out, text);
        break;
    }
}

/* ---- the whole struct --------------------------------------------------------------------------------------- */

int settings_init(struct settings *s, struct err *e)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        int r = set_value(s, d, d->name, d->initial, e);
        if (r != 0) {
            settings_release(s);
            return r;
        }
    }
    return 0;
}

void settings_release(struct settings *s)
{
    if (!s) return;
    for (size_t i = 0; i < settings_count; i++) {
        if (!is_text(&settings_table[i])) continue;
        char **text = field(s, &settings_table[i]);
        free(*text);
        *text = NULL;
    }
}

int settings_copy(struct settings *out, const struct settings *s, struct err *e)
{
    bool failed = false;

    *out = *s;
    for (size_t i = 0; i < settings_count; i++) {
        if (!is_text(&settings_table[i])) continue;
        char *const *from = field(s, &settings_table[i]);
        char **to = field(out, &settings_table[i]);
        *to = failed ? NULL : mem_dup_text(*from, strlen(*from));
        if (!*to) failed = true;
    }
    if (!failed) return 0;
    settings_release(out);
    return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- where values come from --------------------------------------------------------------------------------- */

/* Whether the n bytes at text are the name, '-' and '_' being the same. */
static bool same_name(const char *name, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!name[i] || name[i] != (text[i] == '-' ? '_' : text[i])) return false;
    }
    return name[n] == '\0';
}

static const struct setting *find_name(const char *text, size_t n)
{
    for (size_t i = 0; i < settings_count; i++) {
        if (same_name(settings_table[i].name, text, n)) return &settings_table[i];
    }
    return NULL;
}

const struct setting *settings_find(const char *name)
{
    return find_name(name, strlen(name));
}

int settings_set(struct settings *s, const char *name, const char *value, struct err *e)
{
    const struct setting *d = settings_find(name);

    if (!d) return err_set(e, ERR_USAGE, "%.80s: there is no such setting", name);
    return set_value(s, d, d->name, value, e);
}

static int on_ini_value(void *arg, const char *section, const char *name, const char *value, struct err *e)
{
    if (section[0] && strcmp(section, "ponder") != 0) return err_set(e, ERR_FILE, "[%s]: there is no such section", section);
    int r = settings_set(arg, name, value, e);
    /* what is wrong is the file, not the command line */
    return r == ERR_USAGE ? ERR_FILE : r;
}

int settings_load(struct settings *s, const char *ini_path, struct err *e)
{
    int r = ini_read(ini_path, on_ini_value, s, e);
    return r == ERR_NOT_FOUND ? 0 : r;
}

/* Whether what ini_read makes of "name = value" is this value. */
static bool fits_a_line(const char *value)
{
    size_t n = strlen(value);

    if (n > SAVED_MAX || strpbrk(value, "\n\r")) return false;
    if (n && (strchr(" \t", value[0]) || strchr(" \t", value[n - 1]))) return false;
    for (const char *p = strchr(value, ';'); p; p = strchr(p + 1, ';'))
        if (p == value || p[-1] == ' ' || p[-1] == '\t') return false;
    return true;
}

/* Copies the lines of the old file, each that sets d replaced by `line` (once; the last word would win anyway). Returns whether one was. */
static bool replace_line(const struct setting *d, const struct str *old, const char *line, struct str *out)
{
    bool put = false;

    for (size_t at = 0; at < old->len;) {
        const char *start = old->data + at, *newline = memchr(start, '\n', old->len - at);
        size_t n = newline ? (size_t)(newline - start) + 1 : old->len - at, blanks = 0, name = 0;
        while (blanks < n && (start[blanks] == ' ' || start[blanks] == '\t')) blanks++;
        while (blanks + name < n && !strchr("=: \t\n", start[blanks + name])) name++;
        bool is_it = name && start[blanks] != ';' && start[blanks] != '#' && same_name(d->name, start + blanks, name);
        if (!is_it) str_add_bytes(out, start, n);
        if (is_it && !put) str_add(out, line);
        put = put || is_it;
        at += n;
    }
    return put;
}

int settings_save(const struct settings *s, const struct setting *d, const char *ini_path, struct err *e)
{
    struct str value = STR_EMPTY, line = STR_EMPTY, old = STR_EMPTY, out = STR_EMPTY;
    char *real = realpath(ini_path, NULL); /* a file that is kept elsewhere and linked here stays so */
    const char *path = real ? real : ini_path;

    settings_get(s, d, &value);
    str_addf(&line, "%s = %s\n", d->name, str_cstr(&value));
    int rc = fits_a_line(str_cstr(&value)) ? 0 : err_set(e, ERR_INVALID, "%s: this text does not fit a line of ponder.ini", d->name);
    if (!rc) rc = file_read(&old, path, 1 << 20, e);
    if (rc == ERR_NOT_FOUND) {
        const char *slash = strrchr(path, '/');
        char *folder = slash ? mem_dup_text(path, (size_t)(slash - path)) : NULL;
        rc = folder && folder[0] ? path_make_folder(folder, e) : 0;
        free(folder);
    }
    if (!rc && !replace_line(d, &old, str_cstr(&line), &out)) {
        if (out.len && out.data[out.len - 1] != '\n') str_add_char(&out, '\n');
        str_add(&out, str_cstr(&line));
    }
    if (!rc && !(str_ok(&out) && str_ok(&line))) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = file_write_atomic(path, out.data, out.len, e);
    free(real);
    str_release(&value);
    str_release(&line);
    str_release(&old);
    str_release(&out);
    return rc;
}

int settings_load_env(struct settings *s, struct err *e)
{
    for (size_t i = 0; i < settings_count; i++) {
        const struct setting *d = &settings_table[i];
        char variable[64] = "PONDER_";
        size_t n = strlen(variable);
        for (const char *c = d->name; *c && n + 1 < sizeof(variable); c++) {
            variable[n++] = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        }
        variable[n] = '\0';
        const char *value = getenv(variable);
        if (!value || !value[0]) continue;
        int r = set_value(s, d, variable, value, e);
        if (r != 0) return r;
    }
    return 0;
}

/* What an argument says of a setting. */
struct flag {
    const struct setting *d;
    const char *value; /* attached to the argument, or NULL */
    size_t label_len;  /* the flag without its value */
    bool negated;      /* --no-NAME */
};

static bool parse_flag(struct flag *out, const char *arg)
{
    *out = (struct flag){0};
    if (arg[0] != '-' || !arg[1]) return false;
    if (arg[1] != '-') {
        char letter[3] = {'-', arg[1], '\0'};
        for (size_t i = 0; i < settings_count && !out->d; i++) {
            if (has_word(settings_table[i].flags, letter)) out->d = &settings_table[i];
        }
        out->label_len = 2;
        if (arg[2]) out->value = arg + 2 + (arg[2] == '=');
        return out->d != NULL;
    }
    size_t n = strcspn(arg + 2, "=");
    out->label_len = n + 2;
    out->value = arg[n + 2] == '=' ? arg + n + 3 : NULL;
    out->d = find_name(arg + 2, n);
    if (out->d || n <= 3 || strncmp(arg + 2, "no-", 3) != 0 || out->value) return out->d != NULL;
    out->d = find_name(arg + 5, n - 3);
    if (out->d && out->d->type != SETTING_BOOL) out->d = NULL;
    out->negated = true;
    return out->d != NULL;
}

const struct setting *settings_find_flag(const char *arg)
{
    struct flag f;
    return parse_flag(&f, arg) ? f.d : NULL;
}

int settings_take_flag(struct settings *s, int argc, char **argv, int *i, struct err *e)
{
    struct flag f;
    char label[64];

    if (*i >= argc || !parse_flag(&f, argv[*i])) return 0;
    snprintf(label, sizeof(label), "%.*s", (int)f.label_len, argv[*i]);
    int used = 1;
    const char *value = f.value;
    if (!value && f.d->type == SETTING_BOOL) {
        value = f.negated ? "off" : "on";
    } else if (!value) {
        if (*i + 1 >= argc) {
            err_set(e, ERR_USAGE, "%s: needs a value (%s)", label, f.d->choices);
            return -1;
        }
        value = argv[*i + 1];
        used = 2;
    }
    if (set_value(s, f.d, label, value, e) != 0) return -1;
    *i += used;
    return 1;
}
