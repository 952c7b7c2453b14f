/*
 * replay.c - ponder replay: writes a kept reply again, from its prompt, seed, sampler and the commands it was given at their token positions,
 * and says whether the same text came. The record stays as it is: the reply is written into one in memory.
 *
 * A budget in seconds needs no clock: what it did is in the record as a budget in tokens at a position. A reply that was cut off (stopped,
 * interrupted, an error) matches when what is there of it comes again.
 */
#include "chat/chat.h"
#include "cli/record.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct replay {
    struct args args;
    bool json, model_given;
    int64_t id;
    struct store *record, *memory;
    struct provenance from;
    struct message_list path;        /* the last one is the reply */
    const struct message *reply;
    struct chat *chat;
    struct str model_path;
    struct chat_cue *cues;
    size_t n_cues, cap_cues;
    char date[11];
    bool started, ended, cut_off;    /* cut_off: what is kept is not all that the model had to say */
    size_t thought_at, answer_at;    /* bytes that came so far */
    int64_t made;                    /* in memory */
    char *other_file;                /* hash of a model file that is not the recorded one */
    struct err trouble;
};

static volatile sig_atomic_t caught;

static void on_signal(int n)
{
    caught = n;
}

/* ---- what the reply hung on --------------------------------------------------------------------------------------- */

static int put_setting(struct replay *r, const char *name, const char *value, struct err *e)
{
    return settings_set(&r->args.set, name, value, e);
}

static int put_number(struct replay *r, const char *name, double value, struct err *e)
{
    char text[40];
    snprintf(text, sizeof text, "%.17g", value);
    return put_setting(r, name, text, e);
}

static int put_settings(struct replay *r, struct err *e)
{
    const struct provenance *p = &r->from;
    struct budget b;
    char seed[24];

    snprintf(seed, sizeof seed, "%lld", (long long)p->seed);
    int rc = budget_parse(&b, p->budget, e);
    if (!rc) rc = put_setting(r, "budget", b.kind == BUDGET_SECONDS ? "unlimited" : p->budget, e);
    if (!rc) rc = put_setting(r, "seed", seed, e);
    if (!rc) rc = put_setting(r, "system", p->system, e);
    if (!rc) rc = put_setting(r, "lora", p->adapter && p->adapter[0] ? p->adapter : "none", e);
    if (!rc) rc = put_setting(r, "think", p->think[0] ? p->think : "on", e);
    if (!rc) rc = put_setting(r, "cot", p->cot[0] ? p->cot : "step", e);
    if (!rc) rc = put_setting(r, "keep_thoughts", p->keep_thoughts ? "on" : "off", e);
    if (!rc) rc = put_setting(r, "loop_guard", p->loop_guard ? "on" : "off", e);
    /* "avx512 q8_0": cells but f16 are named behind the kernels */
    const char *cells = strchr(p->kernels ? p->kernels : "", ' ');
    if (!rc) rc = put_setting(r, "kv", cells ? cells + 1 : "f16", e);
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"temp", p->temp}, {"top_k", p->top_k}, {"top_p", p->top_p}, {"min_p", p->min_p}, {"repeat_penalty", p->repeat_penalty},
                   {"think_min", p->think_min}, {"answer_max", p->answer_max}, {"ctx", p->context}};
    for (size_t i = 0; i < ARRAY_LEN(numbers) && !rc; i++) rc = put_number(r, numbers[i].name, numbers[i].value, e);
    return rc;
}

/* The line that the nth span of the user's own put into the thought, without the newlines that the controller puts around it. */
static bool said_line(const struct replay *r, size_t span, struct think_command *cmd)
{
    const struct reply_span *s = &r->from.spans[span];
    if (s->offset > r->reply->thought_len || s->length > r->reply->thought_len - s->offset) return false;
    cmd->text = r->reply->thought + s->offset;
    cmd->text_len = s->length;
    if (cmd->text_len && s->offset && *cmd->text == '\n') cmd->text++, cmd->text_len--;
    return cmd->text_len > 0;
}

/* Lines said one after another may have become one span: the first has them all. */
static bool say_cue(const struct replay *r, size_t position, size_t *span, struct think_command *cmd)
{
    for (; *span < r->from.n_spans; (*span)++) {
        const struct reply_span *s = &r->from.spans[*span];
        if (strcmp(s->kind, "say")) continue;
        if (s->position < position) continue;
        return said_line(r, (*span)++, cmd);
    }
    return false;
}

static int add_cue(struct replay *r, size_t position, const struct think_command *cmd, struct err *e)
{
    if (!mem_grow(&r->cues, &r->cap_cues, r->n_cues + 1, sizeof *r->cues)) return err_set(e, ERR_NOMEM, "out of memory");
    r->cues[r->n_cues++] = (struct chat_cue){position, *cmd};
    return 0;
}

static int make_cues(struct replay *r, struct err *e)
{
    static const struct {
        const char *kind;
        enum think_verb verb;
    } verbs[] = {{"answer_now", THINK_ANSWER_NOW}, {"more", THINK_MORE}, {"stop", THINK_STOP}, {"say", THINK_SAY}, {"budget", THINK_SET_BUDGET}};
    size_t span = 0, last_say = 0;
    bool first_budget = true;
    int rc = 0;
    for (size_t i = 0; i < r->from.n_events && !rc; i++) {
        const struct reply_event *ev = &r->from.events[i];
        for (size_t k = 0; k < ARRAY_LEN(verbs) && !rc; k++) {
            struct think_command cmd = {.verb = verbs[k].verb};
            if (strcmp(ev->kind, verbs[k].kind)) continue;
            bool wanted = true;
            if (cmd.verb == THINK_SAY) {
                wanted = (!last_say || ev->position >= last_say) && say_cue(r, ev->position, &span, &cmd);
                if (wanted) last_say = r->from.spans[span - 1].position;
            } else if (cmd.verb == THINK_SET_BUDGET) {
                wanted = !first_budget; /* that one is where the reply began */
                first_budget = false;
                if (wanted) rc = budget_parse(&cmd.budget, ev->value, e);
            }
            if (wanted && !rc) rc = add_cue(r, ev->position, &cmd, e);
        }
    }
    return rc;
}

/* ---- the messages above, in memory --------------------------------------------------------------------------------- */

static int copy_reply(struct replay *r, int64_t conversation, int64_t parent, const struct message *m, int64_t *id, struct err *e)
{
    const struct reply_start start = {.conversation = conversation, .parent = parent, .model = m->model, .system = r->from.system, .budget = m->budget};
    const struct reply_end end = {.ended = m->ended, .answer_ended = m->answer_ended, .budget_final = m->budget_final};
    int rc = store_begin_reply(r->memory, &start, id, e);
    return rc ? rc : store_end_reply(r->memory, *id, m->thought, m->thought_len, m->text, m->text_len, &end, e);
}

static int copy_path(struct replay *r, int64_t *conversation, struct err *e)
{
    int64_t parent = 0;
    int rc = store_open(&r->memory, NULL, e);
    if (!rc) rc = store_new_conversation(r->memory, r->from.system, conversation, e);
    for (size_t i = 0; i + 1 < r->path.n && !rc; i++) {
        const struct message *m = &r->path.items[i];
        int64_t id = 0;
        rc = m->role == MESSAGE_USER ? store_add_prompt(r->memory, *conversation, parent, m->text, m->text_len, &id, e)
                                     : copy_reply(r, *conversation, parent, m, &id, e);
        parent = id;
    }
    return rc;
}

/* ---- the run ------------------------------------------------------------------------------------------------------- */

/* The model: the one that is named, else the recorded file, else what the settings name. */
static int find_model(struct replay *r, struct err *e)
{
    char hex[65] = "";
    int rc = 0;
    if (!r->model_given && r->from.model_file[0] && access(r->from.model_file, R_OK) == 0)
        str_add(&r->model_path, r->from.model_file);
    else
        rc = model_path_of(&r->model_path, r->args.set.model, e);
    if (!rc && !str_ok(&r->model_path)) rc = err_set(e, ERR_NOMEM, "out of memory");
    if (rc || !r->from.model_sha256[0]) return rc;
    rc = model_file_hash(str_cstr(&r->model_path), hex, NULL, e);
    if (!rc && strcmp(hex, r->from.model_sha256)) r->other_file = mem_dup_text(hex, strlen(hex));
    return rc;
}

/* The thought that the reply was given, which stands in its own. */
static void put_given(const struct replay *r, struct chat_script *s)
{
    long long from;
    size_t n;
    for (size_t i = 0; i < r->from.n_events; i++) {
        const struct reply_event *ev = &r->from.events[i];
        if (strcmp(ev->kind, "given") || sscanf(ev->value, "m%lld %zu", &from, &n) != 2 || n > r->reply->thought_len) continue;
        s->thought = r->reply->thought;
        s->thought_len = n;
        s->thought_goes_on = !r->from.thought_of;
        s->thought_ending = thought_ending_by_name(r->reply->ended);
    }
}

static int begin(struct replay *r, struct err *e)
{
    struct tm tm;
    time_t seconds = (time_t)(r->from.created_ms / 1000);
    int64_t conversation = 0;

    if (!r->from.seeded) return err_set(e, ERR_INVALID, "m%lld was written by another program: its seed and sampler are not known", (long long)r->id);
    r->cut_off = !strcmp(r->reply->ended, "interrupted") || !strcmp(r->reply->ended, "error") || !strcmp(r->reply->ended, "stopped") ||
                 !strcmp(r->reply->answer_ended, "interrupted") || !strcmp(r->reply->answer_ended, "error") ||
                 !strcmp(r->reply->answer_ended, "stopped");
    if (!localtime_r(&seconds, &tm) || !strftime(r->date, sizeof r->date, "%Y-%m-%d", &tm)) return err_set(e, ERR_INVALID, "its date is none");
    int rc = put_settings(r, e);
    if (!rc) rc = make_cues(r, e);
    if (!rc) rc = find_model(r, e);
    if (!rc) rc = copy_path(r, &conversation, e);
    if (!rc) rc = chat_new(&r->chat, &r->args.set, str_cstr(&r->model_path), r->memory, e);
    if (!rc) rc = chat_select(r->chat, conversation, e);
    struct chat_script s = {.cues = r->cues, .n_cues = r->n_cues, .date = r->date, .timeless = true};
    put_given(r, &s);
    return rc ? rc : chat_set_script(r->chat, &s, e);
}

/* Whether what came so far can still become the recorded text; stops the reply when it cannot, or has become all of it. */
static void follow(struct replay *r, size_t *at, const char *want, size_t want_len, const struct chat_event *ev)
{
    size_t n = *at < want_len ? want_len - *at : 0, k = 0;
    while (k < n && k < ev->len && ev->text[k] == want[*at + k]) k++;
    bool all = r->cut_off && r->thought_at >= r->reply->thought_len && r->answer_at >= r->reply->text_len;
    if (all || k < ev->len) chat_command(r->chat, &(struct think_command){.verb = THINK_STOP}, NULL);
    *at += ev->len;
}

static void on_event(struct replay *r, const struct chat_event *ev)
{
    switch (ev->kind) {
    case CHAT_MODEL:
        if (!r->started && chat_regenerate(r->chat, 0, &r->trouble)) r->ended = true;
        r->started = true;
        break;
    case CHAT_MODEL_FAILED:
        err_set(&r->trouble, ERR_FILE, "%s", ev->text);
        r->ended = true;
        break;
    case CHAT_THOUGHT: follow(r, &r->thought_at, r->reply->thought, r->reply->thought_len, ev); break;
    case CHAT_ANSWER: follow(r, &r->answer_at, r->reply->text, r->reply->text_len, ev); break;
    case CHAT_ENDED:
        r->made = ev->message;
        r->ended = true;
        if (ev->len) err_set(&r->trouble, ERR_FAILED, "%s", ev->text);
        break;
    default: break;
    }
}

static int run(struct replay *r)
{
    while (!r->ended) {
        struct pollfd p = {.fd = chat_event_fd(r->chat), .events = POLLIN};
        if (poll(&p, 1, 1000) < 0 && errno != EINTR) break;
        if (caught) return 128 + caught;
        struct chat_event ev;
        while (!r->ended && chat_next_event(r->chat, &ev)) {
            on_event(r, &ev);
            chat_event_release(&ev);
        }
    }
    return r->trouble.code ? cli_fail(&r->trouble) : 0;
}

/* ---- what came of it ------------------------------------------------------------------------------------------------ */

/* The first byte in which the two differ; SIZE_MAX when they are the same (or, of a reply cut off, begin the same). */
static size_t differs_at(const struct replay *r, const char *want, size_t n_want, const char *got, size_t n_got)
{
    size_t k = 0;
    while (k < n_want && k < n_got && want[k] == got[k]) k++;
    if (k == n_want && (n_got == n_want || r->cut_off)) return SIZE_MAX;
    return k;
}

static void put_around(const char *what, const char *text, size_t n, size_t at)
{
    struct str line = STR_EMPTY;
    size_t from = at > n ? n : at, to = from + 60 < n ? from + 60 : n;
    while (from && ((unsigned char)text[from] & 0xc0) == 0x80) from--;
    text_sanitize(&line, text + from, utf8_complete_prefix(text + from, to - from), TEXT_ONE_LINE);
    printf("  %s: %s%s\n", what, line.len ? str_cstr(&line) : "(nothing more)", to < n ? "…" : "");
    str_release(&line);
}

static int report(struct replay *r)
{
    struct message_list made = {0};
    struct err e = {0};
    if (store_load_message(r->memory, r->made, &made, &e)) return cli_fail(&e);
    const struct message *want = r->reply, *got = &made.items[0];
    size_t thought = differs_at(r, want->thought, want->thought_len, got->thought, got->thought_len), answer = SIZE_MAX;
    if (thought == SIZE_MAX) answer = differs_at(r, want->text, want->text_len, got->text, got->text_len);
    bool matched = thought == SIZE_MAX && answer == SIZE_MAX;
    const char *part = thought != SIZE_MAX ? "thought" : "answer";
    size_t at = thought != SIZE_MAX ? thought : answer;
    if (r->json) {
        json_t *o = json_pack("{s:I,s:b,s:b}", "message", (json_int_t)r->id, "matched", matched, "same_file", !r->other_file);
        json_object_set_new(o, "part", matched ? json_null() : json_string(part));
        json_object_set_new(o, "byte", matched ? json_null() : json_integer((json_int_t)at));
        record_put_json(o);
    } else {
        if (r->other_file) printf("the model file is another one: recorded %.12s…, here %.12s…\n", r->from.model_sha256, r->other_file);
        if (matched) {
            printf("m%lld: matched, %zu bytes of thought and %zu of answer%s\n", (long long)r->id, want->thought_len, want->text_len,
                   r->cut_off ? " (as far as it was written)" : "");
        } else {
            bool in_thought = thought != SIZE_MAX;
            printf("m%lld: differs from byte %zu of the %s on\n", (long long)r->id, at, part);
            put_around("recorded", in_thought ? want->thought : want->text, in_thought ? want->thought_len : want->text_len, at);
            put_around("now", in_thought ? got->thought : got->text, in_thought ? got->thought_len : got->text_len, at);
        }
    }
    message_list_release(&made);
    return matched ? 0 : 1;
}

static int parse(struct replay *r)
{
    enum args_kind kind;
    struct args *a = &r->args;
    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD && r->id) return cli_usage("replay", "one message at a time");
        if (kind == ARGS_WORD && !cli_id(a->value, 'm', &r->id)) return cli_usage("replay", "\"%s\" is no message's number (34 or m34)", a->value);
        if (kind == ARGS_WORD) continue;
        if (args_is(a, "--json")) r->json = true;
        if (args_is(a, "-m") || args_is(a, "--model")) r->model_given = true;
        bool threads = args_is(a, "-t") || args_is(a, "--threads");
        if (!args_is(a, "--json") && settings_set(&a->set, threads ? "threads" : "model", a->value, &a->err)) return cli_fail(&a->err);
    }
    return r->id ? 0 : cli_usage("replay", "name a message");
}

int cmd_replay(int argc, char **argv)
{
    struct replay r = {0};
    int code = args_begin(&r.args, argc, argv, "-m --model -t --threads", "--json");
    if (code) return code;
    code = parse(&r);
    if (!code) {
        struct err e = {0};
        struct sigaction sa = {.sa_handler = on_signal};
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        int rc = record_open(&r.record, &r.args.set, &e);
        if (!rc) rc = store_load_provenance(r.record, r.id, &r.from, &e);
        if (!rc) rc = store_load_path(r.record, r.id, &r.path, &e);
        if (!rc) r.reply = &r.path.items[r.path.n - 1];
        if (!rc) rc = begin(&r, &e);
        code = rc ? cli_fail(&e) : run(&r);
    }
    if (!code) code = report(&r);
    chat_free(r.chat);
    store_close(r.memory);
    store_close(r.record);
    provenance_release(&r.from);
    message_list_release(&r.path);
    str_release(&r.model_path);
    free(r.cues);
    free(r.other_file);
    args_end(&r.args);
    return cli_finish(code);
}
