/* eval_file.c - the file that says what `ponder eval` measures, and the questions it names. */
#include "cli/eval.h"

#include <stdlib.h>
#include <string.h>

/* ---- the file ------------------------------------------------------------------------------------------------------------ */

struct reading {
    struct eval_config *c;
    const char *path;
};

static int take_text(char **out, const char *value, struct err *e)
{
    free(*out);
    *out = mem_dup_text(value, strlen(value));
    return *out ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* A path, seen from the folder of the file. */
static int take_path(char **out, const char *ini, const char *value, struct err *e)
{
    struct str path = STR_EMPTY;
    const char *slash = strrchr(ini, '/');
    if (value[0] != '/' && value[0] && slash) str_add_bytes(&path, ini, (size_t)(slash - ini) + 1);
    str_add(&path, value);
    int rc = take_text(out, str_cstr(&path), e);
    str_release(&path);
    return rc;
}

static int take_int(int *out, const char *name, const char *value, int low, int high, struct err *e)
{
    char *end;
    long v = strtol(value, &end, 10);
    if (end == value || *end || v < low || v > high) return err_set(e, ERR_FILE, "%s: \"%s\" is no number from %d to %d", name, value, low, high);
    *out = (int)v;
    return 0;
}

static int take_temp(double *out, const char *name, const char *value, struct err *e)
{
    char *end;
    *out = strtod(value, &end);
    return end != value && !*end && *out >= 0 && *out <= 5 ? 0 : err_set(e, ERR_FILE, "%s: \"%s\" is no number from 0 to 5", name, value);
}

static int take_budgets(struct budget_list *out, const char *name, const char *value, struct err *e)
{
    int rc = budgets_parse(out->items, EVAL_BUDGETS_MAX, &out->n, name, value, e);
    for (size_t i = 0; !rc && i < out->n; i++)
        if (out->items[i].kind == BUDGET_SECONDS) rc = err_set(e, ERR_FILE, "%s: in tokens, not in seconds", name);
    if (rc) e->code = ERR_FILE;
    return rc ? ERR_FILE : 0;
}

static int set_value(struct reading *r, const char *set, const char *name, const char *value, struct err *e)
{
    struct eval_config *c = r->c;
    size_t i = 0;
    while (i < c->n_sets && strcmp(c->sets[i].name, set)) i++;
    if (i == EVAL_SETS_MAX) return err_set(e, ERR_FILE, "at most %d sets", EVAL_SETS_MAX);
    if (i == c->n_sets) {
        c->sets[i].name = mem_dup_text(set, strlen(set));
        if (!c->sets[i].name) return err_set(e, ERR_NOMEM, "out of memory");
        c->n_sets++;
    }
    if (!strcmp(name, "file")) return take_path(&c->sets[i].file, r->path, value, e);
    if (!strcmp(name, "limit")) return take_int(&c->sets[i].limit, name, value, 1, 100000, e);
    return err_set(e, ERR_FILE, "a set has no \"%s\": file, limit", name);
}

static int on_value(void *arg, const char *section, const char *name, const char *value, struct err *e)
{
    struct reading *r = arg;
    struct eval_config *c = r->c;
    int seed = 0;
    if (!strncmp(section, "set ", 4)) return set_value(r, section + 4, name, value, e);
    if (section[0] && strcmp(section, "eval")) return err_set(e, ERR_FILE, "no section is called \"%s\": eval, set NAME", section);
    if (!strcmp(name, "model")) return take_text(&c->model, value, e);
    if (!strcmp(name, "adapter")) return take_path(&c->adapter, r->path, value, e);
    if (!strcmp(name, "text")) return take_path(&c->text, r->path, value, e);
    if (!strcmp(name, "families")) return take_text(&c->families, value, e);
    if (!strcmp(name, "level_min")) return take_int(&c->level_min, name, value, 1, TASK_LEVELS, e);
    if (!strcmp(name, "level_max")) return take_int(&c->level_max, name, value, 1, TASK_LEVELS, e);
    if (!strcmp(name, "count")) return take_int(&c->count, name, value, 0, 10000, e);
    if (!strcmp(name, "votes")) return take_int(&c->votes[RUN_ADAPTER], name, value, 0, EVAL_VOTES_MAX, e);
    if (!strcmp(name, "base_votes")) {
        c->has_base_votes = true;
        return take_int(&c->votes[RUN_BASE], name, value, 0, EVAL_VOTES_MAX, e);
    }
    if (!strcmp(name, "answer_max")) return take_int(&c->answer_max, name, value, 1, 4096, e);
    if (!strcmp(name, "budgets")) return take_budgets(&c->budgets[RUN_ADAPTER], name, value, e);
    if (!strcmp(name, "half")) {
        c->half = !strcmp(value, "training") ? TASK_TRAINING : TASK_HELD_OUT;
        return c->half == TASK_TRAINING || !strcmp(value, "held-out") ? 0 : err_set(e, ERR_FILE, "half: \"%s\" is none of: held-out, training", value);
    }
    if (!strcmp(name, "adapter_thinks")) {
        c->thinks = !strcmp(value, "trained") ? THINKS_TRAINED : !strcmp(value, "prompted") ? THINKS_PROMPTED : THINKS_AS_TAUGHT;
        return c->thinks != THINKS_AS_TAUGHT || !strcmp(value, "taught") ? 0 : err_set(e, ERR_FILE, "adapter_thinks: \"%s\" is none of: taught, prompted, trained", value);
    }
    if (!strcmp(name, "base_budgets")) {
        c->has_base_budgets = true;
        return take_budgets(&c->budgets[RUN_BASE], name, value, e);
    }
    if (!strcmp(name, "seed")) {
        int rc = take_int(&seed, name, value, 0, 0x7fffffff, e);
        c->seed = seed;
        return rc;
    }
    if (!strcmp(name, "temp")) return take_temp(&c->temp, name, value, e);
    if (!strcmp(name, "single_temp")) return take_temp(&c->single_temp, name, value, e);
    return err_set(e, ERR_FILE, "there is no setting \"%s\"", name);
}

int eval_config_load(struct eval_config *c, const char *path, struct err *e)
{
    struct reading r = {c, path};
    *c = (struct eval_config){.level_min = 1, .level_max = 3, .count = 6, .half = TASK_HELD_OUT, .seed = 1, .temp = 0.8, .votes = {[RUN_ADAPTER] = 5}, .answer_max = 120};
    int rc = take_text(&c->model, "smollm2-135m", e);
    if (!rc) rc = take_text(&c->adapter, "", e);
    if (!rc) rc = take_text(&c->text, "", e);
    if (!rc) rc = take_text(&c->families, "all", e);
    if (!rc) rc = take_budgets(&c->budgets[RUN_ADAPTER], "budgets", "0,16,32,64,128,256", e);
    if (!rc) rc = ini_read(path, on_value, &r, e);
    if (rc == ERR_NOT_FOUND) rc = e->code = ERR_FILE;
    if (!rc && !c->has_base_budgets) c->budgets[RUN_BASE] = c->budgets[RUN_ADAPTER];
    if (!rc && !c->has_base_votes) c->votes[RUN_BASE] = c->votes[RUN_ADAPTER];
    if (!rc && c->level_min > c->level_max) rc = err_set(e, ERR_FILE, "%s: level_min is above level_max", path);
    for (size_t i = 0; !rc && i < c->n_sets; i++)
        if (!c->sets[i].file) rc = err_set(e, ERR_FILE, "%s: set %s names no file", path, c->sets[i].name);
    return rc;
}

void eval_config_release(struct eval_config *c)
{
    free(c->model);
    free(c->adapter);
    free(c->text);
    free(c->families);
    for (size_t i = 0; i < c->n_sets; i++) {
        free(c->sets[i].name);
        free(c->sets[i].file);
    }
    *c = (struct eval_config){.level_min = 0};
}

/* ---- questions ------------------------------------------------------------------------------------------------------------ */

void eval_questions_release(struct eval_questions *q)
{
    for (size_t i = 0; i < q->n; i++) {
        free(q->items[i].q.text);
        free(q->items[i].q.answer);
        free(q->items[i].q.family);
    }
    free(q->items);
    *q = (struct eval_questions){.n = 0};
}

static int group_of(struct eval_questions *q, const char *name, bool own, size_t *out, struct err *e)
{
    for (*out = 0; *out < q->n_groups; ++*out)
        if (!strcmp(q->groups[*out].name, name)) return 0;
    if (q->n_groups == EVAL_GROUPS_MAX) return err_set(e, ERR_FILE, "more than %d families of questions", EVAL_GROUPS_MAX);
    snprintf(q->groups[q->n_groups].name, sizeof q->groups[0].name, "%s", name);
    q->groups[q->n_groups++].own = own;
    return 0;
}

/* Takes the question, also on an error. */
static int add(struct eval_questions *q, size_t *cap, struct question *one, const char *name, bool own, struct err *e)
{
    size_t group;
    int rc = group_of(q, name, own, &group, e);
    if (!rc && !mem_grow(&q->items, cap, q->n + 1, sizeof *q->items)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc) {
        free(one->text);
        free(one->answer);
        free(one->family);
    } else {
        q->items[q->n++] = (struct eval_question){.q = *one, .group = group};
        q->groups[group].n++;
    }
    *one = (struct question){.text = NULL};
    return rc;
}

static bool wanted(const char *list, const char *name)
{
    size_t n = strlen(name);
    if (!strcmp(list, "all")) return true;
    for (const char *p = list; (p = strstr(p, name)); p++)
        if ((p == list || strchr(", ", p[-1])) && (!p[n] || strchr(", ", p[n]))) return true;
    return false;
}

static bool asked_before(const struct eval_questions *q, const char *text)
{
    for (size_t i = 0; i < q->n; i++)
        if (!strcmp(q->items[i].q.text, text)) return true;
    return false;
}

#define TRIES 100 /* items of a small family that were there before */

static int add_family(struct eval_questions *q, size_t *cap, const struct eval_config *c, size_t family, struct err *e)
{
    struct task_item it = {0};
    int levels = c->level_max - c->level_min + 1, rc = 0, made = 0;
    for (uint64_t i = 0; !rc && made < c->count && i < (uint64_t)c->count + TRIES; i++) {
        rc = task_make(&it, family, c->level_min + made % levels, (uint64_t)c->seed, i, c->half, e);
        if (rc || asked_before(q, it.question.data)) continue;
        struct question one = {.text = mem_dup_text(it.question.data, it.question.len), .answer = mem_dup_text(it.answer.data, it.answer.len),
                               .has_check = true, .check = it.check};
        if (!one.text || !one.answer) rc = err_set(e, ERR_NOMEM, "out of memory");
        if (!rc) rc = add(q, cap, &one, task_family_name(family), true, e);
        made++;
    }
    task_item_release(&it);
    return rc;
}

static int add_set(struct eval_questions *q, size_t *cap, const char *set, const char *file, int limit, struct err *e)
{
    struct questions from = {0};
    int rc = questions_load(&from, file, FORM_AUTO, (size_t)limit, e);
    for (size_t i = 0; !rc && i < from.n; i++) {
        char name[64];
        snprintf(name, sizeof name, from.items[i].family ? "%.20s: %.40s" : "%.20s", set, from.items[i].family);
        rc = add(q, cap, &from.items[i], name, false, e);
    }
    questions_release(&from);
    return rc;
}

int eval_questions_load(struct eval_questions *out, const struct eval_config *c, struct err *e)
{
    size_t cap = 0;
    int rc = 0;
    *out = (struct eval_questions){.n = 0};
    for (size_t f = 0; !rc && f < task_families(); f++)
        if (wanted(c->families, task_family_name(f))) rc = add_family(out, &cap, c, f, e);
    for (size_t i = 0; !rc && i < c->n_sets; i++) rc = add_set(out, &cap, c->sets[i].name, c->sets[i].file, c->sets[i].limit, e);
    if (!rc && !out->n) rc = err_set(e, ERR_FILE, "there is nothing to ask");
    return rc;
}

int eval_prompt(const struct engine *m, const struct family *f, const char *system, const char *question, bool think, bool examples, struct tokens *out,
                bool *open, struct err *e)
{
    struct chat_message messages[2];
    struct prompt p = {0};
    size_t n = 0;
    if (system[0]) messages[n++] = (struct chat_message){.role = ROLE_SYSTEM, .content = system, .content_len = strlen(system)};
    messages[n++] = (struct chat_message){.role = ROLE_USER, .content = question, .content_len = strlen(question)};
    struct render_options o = {.think = think, .prompted = true, .examples = examples, .force_off = true, .date = "2026-01-01"};
    int rc = family_render(f, &p, messages, n, &o, e);
    out->n = 0;
    if (!rc) rc = tokenizer_encode_prompt(engine_tokenizer(m), &p, out, e);
    *open = p.thought_open;
    prompt_release(&p);
    return rc;
}

int levels_parse(const char *text, int *low, int *high, struct err *e)
{
    char *end;
    long first = strtol(text, &end, 10), last = first;
    bool good = end != text;
    if (good && !strncmp(end, "..", 2)) {
        const char *second = end + 2;
        last = strtol(second, &end, 10);
        good = end != second;
    }
    if (!good || *end || first < 1 || last < first || last > TASK_LEVELS)
        return err_set(e, ERR_USAGE, "--level: \"%s\" is neither a level from 1 to %d nor two with dots between them, like 1..3", text, TASK_LEVELS);
    *low = (int)first;
    *high = (int)last;
    return 0;
}
