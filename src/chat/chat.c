/*
 * chat.c - the owner's side of a chat: requests become jobs, events come back, and the branch that is being talked on is kept in memory, so that a record
 * that cannot be written does not end the conversation.
 *
 * Provisional ids (below 0) name what the record has not taken yet; CHAT_SAVED replaces them.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    struct worker w;
    struct settings set;
    char *model_path;
    struct store *store;
    struct model_info info;
    bool have_model, loading;
    int64_t conversation;
    struct branch branch;
    struct line_message reply;       /* the running one, as far as its events were taken */
    struct line_message *samples;    /* of several that run at once, instead; n_samples, 0 where there is one */
    int n_samples;
    int64_t next_provisional;
    int64_t running;                 /* provisional id of the running reply's job, 0 none */
    bool paused, leaving;
    struct script script;            /* of the next reply */
    struct str *queued;
    size_t n_queued, cap_queued;
};

/* ---- life ------------------------------------------------------------------------------------------------------ */

static int post_load(struct chat *c, const char *path, struct err *e)
{
    struct job *job = calloc(1, sizeof *job);
    if (job) job->model_path = mem_dup_text(path, strlen(path));
    if (!job || !job->model_path || queue_push(c->w.jobs, job)) {
        job_free(job);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    c->loading = true;
    return 0;
}

/* Tells the worker what the next prompt will stand below. That it is not told costs only time. */
static void post_ahead(struct chat *c)
{
    if (c->running || c->leaving) return;
    struct job *job = calloc(1, sizeof *job);
    if (!job) return;
    job->kind = JOB_AHEAD;
    job->conversation = c->conversation;
    if (settings_copy(&job->set, &c->set, NULL) || branch_copy(&job->branch, &c->branch) || queue_push(c->w.jobs, job)) job_free(job);
}

static int set_path(struct chat *c, const char *path, struct err *e)
{
    char *copy = mem_dup_text(path, strlen(path));
    if (!copy) return err_set(e, ERR_NOMEM, "out of memory");
    free(c->model_path);
    c->model_path = copy;
    return post_load(c, path, e);
}

/* The system text is text: as the record will have it, so that the reply can be written again from there. */
static int take_settings(struct chat *c, const struct settings *set, struct err *e)
{
    struct settings copy = {0};
    struct str system = STR_EMPTY;
    int rc = settings_copy(&copy, set, e);
    if (rc) return rc;
    str_add_text(&system, copy.system, strlen(copy.system));
    rc = str_ok(&system) ? settings_set(&copy, "system", str_cstr(&system), e) : err_set(e, ERR_NOMEM, "out of memory");
    str_release(&system);
    if (rc) {
        settings_release(&copy);
        return rc;
    }
    settings_release(&c->set);
    c->set = copy;
    return 0;
}

int chat_new(struct chat **out, const struct settings *set, const char *model_path, struct store *store, struct err *e)
{
    *out = NULL;
    struct chat *c = calloc(1, sizeof *c);
    if (!c) return err_set(e, ERR_NOMEM, "out of memory");
    c->store = store;
    c->next_provisional = -1;
    int rc = take_settings(c, set, e);
    if (!rc) rc = worker_start(&c->w, store, e);
    if (!rc) rc = set_path(c, model_path, e);
    if (rc) {
        chat_free(c);
        return rc;
    }
    post_ahead(c);
    *out = c;
    return 0;
}

static void reply_clear(struct chat *c)
{
    str_release(&c->reply.text);
    str_release(&c->reply.thought);
    c->reply = (struct line_message){0};
    for (int i = 0; i < c->n_samples; i++) {
        str_release(&c->samples[i].text);
        str_release(&c->samples[i].thought);
    }
    free(c->samples);
    c->samples = NULL;
    c->n_samples = 0;
}

static int save_pending(struct chat *c, struct err *e);

void chat_free(struct chat *c)
{
    if (!c) return;
    worker_join(&c->w);
    c->leaving = true;
    struct chat_event ev;
    while (c->w.events && chat_next_event(c, &ev)) chat_event_release(&ev);
    save_pending(c, NULL);
    worker_release(&c->w);
    settings_release(&c->set);
    free(c->model_path);
    branch_release(&c->branch);
    script_release(&c->script);
    reply_clear(c);
    for (size_t i = 0; i < c->n_queued; i++) str_release(&c->queued[i]);
    free(c->queued);
    free(c);
}

/* ---- the branch ------------------------------------------------------------------------------------------------ */

static int take_branch(struct chat *c, const struct message_list *l, struct err *e)
{
    struct branch b = {0};
    for (size_t i = 0; i < l->n; i++) {
        const struct message *m = &l->items[i];
        if (branch_add(&b, m->id, m->role == MESSAGE_USER ? ROLE_USER : ROLE_ASSISTANT, m->text, m->text_len, m->thought, m->thought_len)) {
            branch_release(&b);
            return err_set(e, ERR_NOMEM, "out of memory for the conversation");
        }
    }
    branch_release(&c->branch);
    c->branch = b;
    return 0;
}

int chat_select_loaded(struct chat *c, int64_t conversation, const struct message_list *branch, struct err *e)
{
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    int rc = take_branch(c, branch, e);
    if (rc) return rc;
    c->conversation = conversation;
    post_ahead(c);
    return 0;
}

int chat_select(struct chat *c, int64_t conversation, struct err *e)
{
    struct message_list l = {0};
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    int rc = conversation ? store_load_branch(c->store, conversation, &l, e) : 0;
    if (!rc) rc = chat_select_loaded(c, conversation, &l, e);
    message_list_release(&l);
    return rc;
}

int64_t chat_conversation(const struct chat *c)
{
    return c->conversation;
}

/* Keeps the branch up to the message `id`, itself left out. */
static bool cut_before(struct chat *c, int64_t id)
{
    for (size_t i = 0; i < c->branch.n; i++)
        if (c->branch.items[i].id == id) {
            branch_truncate(&c->branch, i);
            return true;
        }
    return false;
}

/* ---- sending --------------------------------------------------------------------------------------------------- */

/* A job for another reply; the caller may put more into it, and hands it to post_job. */
static struct job *new_job(struct err *e)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        err_set(e, ERR_NOMEM, "out of memory");
    else
        job->kind = JOB_REPLY;
    return job;
}

/* Who goes on with a thought wants one, whatever is set for other replies. */
static int think_again(struct settings *set, struct err *e)
{
    int rc = settings_set(set, "think", "on", e);
    if (!rc) rc = settings_set(set, "cot", "step", e);
    return !rc && set->budget.kind == BUDGET_OFF ? settings_set(set, "budget", settings_find("budget")->initial, e) : rc;
}

/* Moves the thought that a script gives into the job. */
static void take_thought(struct job *job, struct script *s)
{
    str_release(&job->given);
    job->given = s->thought;
    s->thought = STR_EMPTY;
    job->given_closed = !s->thought_goes_on;
    job->given_ending = s->thought_ending;
}

/* Takes the job over, whatever comes of it. */
static int post_job(struct chat *c, struct job *job, struct err *e)
{
    int n = job->samples.n;
    struct line_message *texts = n ? calloc((size_t)n, sizeof *texts) : NULL;
    if (n && !texts) {
        job_free(job);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    job->conversation = c->conversation;
    job->reply = c->next_provisional;
    c->next_provisional -= n ? n : 1;
    int rc = settings_copy(&job->set, &c->set, e);
    if (c->script.thought.len) take_thought(job, &c->script);
    if (!rc && job->given.len) rc = think_again(&job->set, e);
    if (!rc && branch_copy(&job->branch, &c->branch)) rc = err_set(e, ERR_NOMEM, "out of memory");
    int64_t id = job->reply;
    job->script = c->script;
    c->script = (struct script){0};
    if (!rc && queue_push(c->w.jobs, job)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc) {
        job_free(job);
        free(texts);
        return rc;
    }
    reply_clear(c);
    c->samples = texts;
    c->n_samples = n;
    c->reply.id = id;
    c->reply.role = ROLE_ASSISTANT;
    c->running = id;
    c->paused = false;
    return 0;
}

/* samples NULL: one reply. */
static int post_reply(struct chat *c, const struct chat_samples *samples, struct err *e)
{
    struct job *job = new_job(e);
    if (!job) return ERR_NOMEM;
    if (samples) job->samples = *samples;
    return post_job(c, job, e);
}

static int save_reply(struct chat *c, struct line_message *m, int64_t parent, struct err *e)
{
    char budget[32];
    struct reply_end end = reply_end_of(&m->stats, budget);
    int rc = 0;
    if (m->id <= 0) {
        struct str name = STR_EMPTY;
        if (c->have_model) str_addf(&name, "%s %s", c->info.name, c->info.quant);
        struct reply_start start = {.conversation = c->conversation, .parent = parent, .model = str_cstr(&name), .model_file = c->model_path, .quant = c->info.quant,
                                    .family = c->info.family ? c->info.family->name : "", .engine_version = PONDER_VERSION, .kernels = engine_kernels(),
                                    .system = c->set.system, .budget = budget, .think_min = c->set.think_min, .answer_max = c->set.answer_max};
        int64_t id = 0;
        rc = store_begin_reply(c->store, &start, &id, e);
        str_release(&name);
        if (rc) return rc;
        m->id = id;
        m->saved_thought = m->saved_text = 0;
        m->unended = true;
    }
    rc = store_end_reply(c->store, m->id, str_cstr(&m->thought) + m->saved_thought, m->thought.len - m->saved_thought, str_cstr(&m->text) + m->saved_text,
                         m->text.len - m->saved_text, &end, e);
    if (!rc) m->unended = false;
    return rc;
}

/* Writes what an earlier failure kept out of the record, in order, so that nothing later stands on a message that is not there. */
static int save_pending(struct chat *c, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < c->branch.n; i++) {
        struct line_message *m = &c->branch.items[i];
        int64_t parent = i ? c->branch.items[i - 1].id : 0, old = m->id;
        if (m->id > 0 && !m->unended) continue;
        if (c->conversation <= 0) rc = store_new_conversation(c->store, c->set.system, &c->conversation, e);
        if (rc) break;
        if (m->role == ROLE_USER)
            rc = store_add_prompt(c->store, c->conversation, parent, str_cstr(&m->text), m->text.len, &m->id, e);
        else
            rc = save_reply(c, m, parent, e);
        if (!rc && old <= 0 && !c->leaving)
            worker_push(&c->w, &(struct chat_event){.kind = CHAT_SAVED, .message = m->id, .old = old, .done = (size_t)c->conversation});
    }
    return rc;
}

/* The prompt goes to disk here, before anything is computed for it. When that fails it stays in memory and the worker tries again. */
static int64_t save_prompt(struct chat *c, const char *text, size_t len)
{
    struct err e = {0};
    int64_t id = 0;
    int rc = save_pending(c, &e);
    if (!rc && c->conversation <= 0) rc = store_new_conversation(c->store, c->set.system, &c->conversation, &e);
    if (!rc) rc = store_add_prompt(c->store, c->conversation, c->branch.n ? c->branch.items[c->branch.n - 1].id : 0, text, len, &id, &e);
    if (!rc) return id;
    worker_emit_text(&c->w, CHAT_STORE_TROUBLE, 0, e.text);
    return c->next_provisional--;
}

/* What is no text is replaced here, so that the model reads what the record keeps. */
static int send_now(struct chat *c, const struct chat_samples *samples, const char *text, size_t len, struct err *e)
{
    struct str clean = STR_EMPTY;
    str_add_text(&clean, text, len);
    int rc = str_ok(&clean) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) {
        int64_t id = save_prompt(c, str_cstr(&clean), clean.len);
        rc = branch_add(&c->branch, id, ROLE_USER, str_cstr(&clean), clean.len, NULL, 0) ? err_set(e, ERR_NOMEM, "out of memory") : 0;
        if (!rc) worker_emit(&c->w, CHAT_PROMPT, id, str_cstr(&clean), clean.len, NULL);
    }
    str_release(&clean);
    return rc ? rc : post_reply(c, samples, e);
}

int chat_send(struct chat *c, const char *text, size_t len, struct err *e)
{
    if (!chat_running(c)) return send_now(c, NULL, text, len, e);
    if (!mem_grow(&c->queued, &c->cap_queued, c->n_queued + 1, sizeof *c->queued)) return err_set(e, ERR_NOMEM, "out of memory");
    struct str s = STR_EMPTY;
    str_add_bytes(&s, text, len);
    if (!str_ok(&s)) return err_set(e, ERR_NOMEM, "out of memory");
    c->queued[c->n_queued++] = s;
    return 0;
}

int chat_edit(struct chat *c, int64_t prompt, const char *text, size_t len, struct err *e)
{
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    if (!cut_before(c, prompt)) return err_set(e, ERR_NOT_FOUND, "no such prompt on this branch");
    return send_now(c, NULL, text, len, e);
}

/* Cuts the branch behind the prompt of the newest reply, or of `reply` when not 0. */
static int back_to_prompt(struct chat *c, int64_t reply, struct err *e)
{
    size_t n = c->branch.n;
    while (n && !(c->branch.items[n - 1].role == ROLE_ASSISTANT && (!reply || c->branch.items[n - 1].id == reply))) n--;
    if (!reply && c->branch.n && c->branch.items[c->branch.n - 1].role == ROLE_USER) n = c->branch.n + 1;      /* a prompt that never got a reply */
    if (n < 2) return err_set(e, ERR_NOT_FOUND, "there is no reply to write again");
    branch_truncate(&c->branch, n - 1);
    return 0;
}

int chat_regenerate(struct chat *c, int64_t reply, struct err *e)
{
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    int rc = back_to_prompt(c, reply, e);
    return rc ? rc : post_reply(c, NULL, e);
}

int chat_sample(struct chat *c, const struct chat_samples *samples, const char *text, size_t len, struct err *e)
{
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    if (samples->n < 2 || samples->n > CHAT_SAMPLES_MAX) return err_set(e, ERR_USAGE, "%d replies at once: 2 to %d", samples->n, CHAT_SAMPLES_MAX);
    for (int i = 0; i < samples->n && samples->kind == SAMPLES_COMPARE; i++)
        if (samples->budgets[i].kind == BUDGET_OFF)
            return err_set(e, ERR_USAGE, "off is another prompt and cannot be compared; a budget of 0 opens the thought and closes it");
    if (text) return send_now(c, samples, text, len, e);
    int rc = back_to_prompt(c, 0, e);
    return rc ? rc : post_reply(c, samples, e);
}

int chat_set_script(struct chat *c, const struct chat_script *s, struct err *e)
{
    script_release(&c->script);
    return script_copy(&c->script, s, e);
}

/* How a thought that is kept whole ends: as it did, unless something cut it. */
static enum thought_ending kept_ending(const char *name)
{
    enum thought_ending how = name ? thought_ending_by_name(name) : THOUGHT_NONE;
    return how == THOUGHT_NATURAL || how == THOUGHT_BUDGET_SOFT || how == THOUGHT_BUDGET_HARD || how == THOUGHT_LOOP ? how : THOUGHT_ANSWER_NOW;
}

/* Puts the thought of a message into the job. */
static int give_thought(struct job *job, const struct message *m, size_t bytes, struct err *e)
{
    if (m->role != MESSAGE_REPLY || !m->thought_len) return err_set(e, ERR_INVALID, "this reply has no thought");
    size_t n = bytes < m->thought_len ? utf8_complete_prefix(m->thought, bytes) : m->thought_len;
    if (!n) return err_set(e, ERR_INVALID, "nothing of the thought would be left");
    str_add_bytes(&job->given, m->thought, n);
    job->given_from = m->id;
    job->given_ms = m->thought_ms * (int64_t)n / (int64_t)m->thought_len;
    job->given_closed = bytes == SIZE_MAX;
    job->given_ending = kept_ending(m->ended);
    return str_ok(&job->given) ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int chat_rethink(struct chat *c, int64_t reply, size_t bytes, struct err *e)
{
    struct message_list l = {0};
    size_t n = c->branch.n;
    if (chat_running(c)) return err_set(e, ERR_BUSY, "a reply is still being written");
    while (n && c->branch.items[n - 1].id != reply) n--;
    if (n < 2 || reply <= 0) return err_set(e, ERR_NOT_FOUND, "this reply is not saved yet, or not on this branch");
    struct job *job = new_job(e);
    if (!job) return ERR_NOMEM;
    int rc = store_load_message(c->store, reply, &l, e);
    if (!rc) rc = give_thought(job, &l.items[0], bytes, e);
    message_list_release(&l);
    if (rc) {
        job_free(job);
        return rc;
    }
    branch_truncate(&c->branch, n - 1);
    return post_job(c, job, e);
}

size_t chat_queued(const struct chat *c)
{
    return c->n_queued;
}

const char *chat_queued_text(const struct chat *c, size_t i, size_t *len)
{
    if (i >= c->n_queued) return NULL;
    if (len) *len = c->queued[i].len;
    return str_cstr(&c->queued[i]);
}

void chat_drop_queued(struct chat *c, size_t i)
{
    if (i >= c->n_queued) return;
    str_release(&c->queued[i]);
    memmove(&c->queued[i], &c->queued[i + 1], (c->n_queued - i - 1) * sizeof *c->queued);
    c->n_queued--;
}

/* ---- live commands ---------------------------------------------------------------------------------------------- */

static int post_live(struct chat *c, enum live_kind kind, const struct think_command *cmd, struct err *e)
{
    if (!chat_running(c)) return err_set(e, ERR_INVALID, "no reply is being written");
    struct live *l = calloc(1, sizeof *l);
    if (!l) return err_set(e, ERR_NOMEM, "out of memory");
    l->kind = kind;
    l->reply = c->running;
    if (cmd) {
        l->cmd = *cmd;
        if (cmd->text && !(l->text = mem_dup_text(cmd->text, cmd->text_len))) {
            live_free(l);
            return err_set(e, ERR_NOMEM, "out of memory");
        }
        l->cmd.text = l->text;
    }
    if (queue_push(c->w.live, l)) {
        live_free(l);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

int chat_command(struct chat *c, const struct think_command *cmd, struct err *e)
{
    int rc = post_live(c, LIVE_THINK, cmd, e);
    if (!rc && cmd->verb != THINK_SET_BUDGET) c->paused = false;
    return rc;
}

int chat_pause(struct chat *c, bool paused, struct err *e)
{
    int rc = post_live(c, paused ? LIVE_PAUSE : LIVE_RESUME, NULL, e);
    if (!rc) c->paused = paused;
    return rc;
}

bool chat_paused(const struct chat *c)
{
    return c->paused;
}

bool chat_running(const struct chat *c)
{
    return c->running != 0;
}

int chat_control(struct chat *c, const char *line, size_t len, struct err *e)
{
    static const struct {
        const char *word;
        enum think_verb verb;
    } plain[] = {{"answer", THINK_ANSWER_NOW}, {"more", THINK_MORE}, {"stop", THINK_STOP}};
    while (len && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' ')) len--;
    while (len && *line == ' ') line++, len--;
    size_t word = 0;
    while (word < len && line[word] != ' ') word++;
    const char *rest = line + word;
    size_t n_rest = len - word;
    while (n_rest && *rest == ' ') rest++, n_rest--;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (word == strlen(plain[i].word) && !memcmp(line, plain[i].word, word) && !n_rest)
            return chat_command(c, &(struct think_command){.verb = plain[i].verb}, e);
    if (word == 5 && !memcmp(line, "pause", 5) && !n_rest) return chat_pause(c, true, e);
    if (word == 6 && !memcmp(line, "resume", 6) && !n_rest) return chat_pause(c, false, e);
    if (word == 3 && !memcmp(line, "say", 3) && n_rest)
        return chat_command(c, &(struct think_command){.verb = THINK_SAY, .text = rest, .text_len = n_rest}, e);
    if (word == 6 && !memcmp(line, "budget", 6) && n_rest && n_rest < 32) {
        char value[32];
        memcpy(value, rest, n_rest);
        value[n_rest] = '\0';
        struct think_command cmd = {.verb = THINK_SET_BUDGET};
        int rc = budget_parse(&cmd.budget, value, e);
        return rc ? rc : chat_command(c, &cmd, e);
    }
    return err_set(e, ERR_USAGE, "\"%.*s\" is no live command; there are: budget N|Ns|unlimited, answer, more, pause, resume, say TEXT, stop", (int)len, line);
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

int chat_set(struct chat *c, const struct settings *set, const char *model_path, struct err *e)
{
    int rc = take_settings(c, set, e);
    if (rc) return rc;
    post_ahead(c);
    /* the same path again is another try where no model is there */
    if (model_path && (strcmp(model_path, c->model_path) || (!c->have_model && !c->loading))) return set_path(c, model_path, e);
    return 0;
}

const struct settings *chat_settings(const struct chat *c)
{
    return &c->set;
}

const struct model_info *chat_model(const struct chat *c)
{
    return c->have_model && !c->loading ? &c->info : NULL;
}

/* ---- events ----------------------------------------------------------------------------------------------------- */

int chat_event_fd(const struct chat *c)
{
    return queue_fd(c->w.events);
}

static void saved(struct chat *c, const struct chat_event *ev)
{
    if (c->conversation <= 0) c->conversation = (int64_t)ev->done;
    if (c->reply.id == ev->old) c->reply.id = ev->message;
    for (size_t i = 0; i < c->branch.n; i++)
        if (c->branch.items[i].id == ev->old) c->branch.items[i].id = ev->message;
}

/* The text that an event belongs to. */
static struct line_message *reply_of(struct chat *c, const struct chat_event *ev)
{
    return ev->n_samples && ev->sample < c->n_samples ? &c->samples[ev->sample] : &c->reply;
}

static void ended(struct chat *c, const struct chat_event *ev)
{
    const struct line_message *r = reply_of(c, ev);
    if (!branch_add(&c->branch, ev->message, ROLE_ASSISTANT, str_cstr(&r->text), r->text.len, str_cstr(&r->thought), r->thought.len)) {
        struct line_message *m = &c->branch.items[c->branch.n - 1];
        m->unended = ev->unsaved;
        m->saved_thought = ev->done;
        m->saved_text = ev->total;
        m->stats = ev->stats;
    }
    if (ev->unsaved) save_pending(c, NULL);
    reply_clear(c);
    c->running = 0;
    c->paused = false;
    if (!c->n_queued || c->leaving) return;
    struct str next = c->queued[0];
    c->queued[0] = STR_EMPTY;
    chat_drop_queued(c, 0);
    struct err e = {0};
    if (send_now(c, NULL, str_cstr(&next), next.len, &e)) worker_emit_text(&c->w, CHAT_NOTICE, 0, e.text);
    str_release(&next);
}

/* Keeps the owner's picture of the branch in step with what it is about to see. */
static void follow(struct chat *c, struct chat_event *ev)
{
    switch (ev->kind) {
    case CHAT_MODEL:
        if (ev->model) c->info = *ev->model;
        c->info.path = c->model_path;
        c->have_model = ev->model != NULL;
        c->loading = false;
        break;
    case CHAT_MODEL_FAILED: c->loading = false; break;
    case CHAT_THOUGHT: str_add_bytes(&reply_of(c, ev)->thought, ev->text, ev->len); break;
    case CHAT_ANSWER: str_add_bytes(&reply_of(c, ev)->text, ev->text, ev->len); break;
    case CHAT_SAVED: saved(c, ev); break;
    case CHAT_ENDED: ended(c, ev); break;
    default: break;
    }
}

bool chat_next_event(struct chat *c, struct chat_event *ev)
{
    struct chat_event *p = queue_pop(c->w.events);
    if (!p) return false;
    *ev = *p;
    free(p);
    follow(c, ev);
    return true;
}

void chat_event_release(struct chat_event *ev)
{
    if (!ev) return;
    free(ev->text);
    free(ev->model);
    ev->text = NULL;
    ev->model = NULL;
}
