/*
 * think_help.h - a scripted model for the tests of the thinking controller: a small vocabulary, a driver that plays token scripts, and
 * the properties that hold for every reply whatever happens in it.
 */
#ifndef THINK_HELP_H
#define THINK_HELP_H

#include "model/think_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- vocabulary: the 256 bytes, words, markup ---------------------------------------------------------------- */

#define VOCAB_MAX 700

struct vocab {
    struct {
        char text[64];
        size_t len;
        bool special, control, end;
    } tokens[VOCAB_MAX];
    int n;
    int32_t end_id;
};

static inline int32_t vocab_add(struct vocab *v, const char *text, size_t len)
{
    for (int i = 0; i < v->n; i++)
        if (!v->tokens[i].special && v->tokens[i].len == len && !memcmp(v->tokens[i].text, text, len)) return i;
    assert_true(v->n < VOCAB_MAX && len < sizeof v->tokens[0].text);
    memcpy(v->tokens[v->n].text, text, len);
    v->tokens[v->n].text[len] = 0;
    v->tokens[v->n].len = len;
    v->tokens[v->n].special = v->tokens[v->n].control = v->tokens[v->n].end = false;
    return v->n++;
}

static inline int32_t vocab_add_special(struct vocab *v, const char *text, bool control, bool end)
{
    for (int i = 0; i < v->n; i++)
        if (v->tokens[i].special && !strcmp(v->tokens[i].text, text)) return i;
    assert_true(v->n < VOCAB_MAX && strlen(text) < sizeof v->tokens[0].text);
    v->tokens[v->n].len = strlen(text);
    strcpy(v->tokens[v->n].text, text);
    v->tokens[v->n].special = true;
    v->tokens[v->n].control = control;
    v->tokens[v->n].end = end;
    return v->n++;
}

/* Every word of a sentence, with the blank in front of it. */
static inline void vocab_add_words(struct vocab *v, const char *text)
{
    while (text && *text) {
        size_t n = strspn(text, "\n") ? strspn(text, "\n") : 1 + strcspn(text + 1, " \n");
        vocab_add(v, text, n);
        text += n;
    }
}

/* tags_as_tokens: markup tags of the family are tokens of their own, as in vocabularies made for it. */
static inline void vocab_init(struct vocab *v, const struct family *f, bool tags_as_tokens)
{
    static const char *const words[] = {
        "First",  " I",     " add", " two",  " and",  " three",  ".",       " That",     " makes",   " five", "\n",    "\n\n",  "So",
        " the",   " total", " is",  " The",  "The",   " answer", " eleven", " tennis",   " balls",   "Wait",  " Wait", ",",     " let",
        " me",    " check", "</",   "think", ">",     "<",       ">\n\n",   ".\n\n",     " time",    " Time", "give",  " give", " will",
        " final", " now",   "Let",  "'s",    " step", " by",     " think",  "assistant", "analysis", "final"};
    v->n = 0;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        vocab_add(v, &c, 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) vocab_add(v, words[i], strlen(words[i]));
    vocab_add_words(v, f->wrap_up);
    vocab_add_words(v, f->wait);
    vocab_add_words(v, f->think_lead);
    v->end_id = vocab_add_special(v, "<|the_end|>", true, true);
    if (!strcmp(f->name, "gpt-oss")) {
        static const char *const control[] = {"<|channel|>", "<|message|>", "<|start|>", "<|return|>", "<|call|>"};
        for (size_t i = 0; i < ARRAY_LEN(control); i++) vocab_add_special(v, control[i], true, false);
        vocab_add_special(v, "<|end|>", true, true); /* which tokenizers know as an end elsewhere */
        return;
    }
    for (size_t i = 0; tags_as_tokens && f->open[i]; i++)
        if (f->open[i][0] == '<' || f->open[i][0] == '[') vocab_add_special(v, f->open[i], false, false);
    for (size_t i = 0; tags_as_tokens && f->close[i]; i++)
        if (f->close[i][0] == '<' || f->close[i][0] == '[') vocab_add_special(v, f->close[i], false, false);
    for (size_t i = 0; f->answer_end[i]; i++) vocab_add_special(v, f->answer_end[i], true, false);
}

static inline int vocab_size(const void *arg)
{
    return ((const struct vocab *)arg)->n;
}

static inline const char *vocab_piece(const void *arg, int32_t id, size_t *len)
{
    const struct vocab *v = arg;
    if (id < 0 || id >= v->n) {
        *len = 0;
        return "";
    }
    *len = v->tokens[id].len;
    return v->tokens[id].text;
}

static inline int32_t vocab_find(const void *arg, const char *text)
{
    const struct vocab *v = arg;
    for (int i = v->n - 1; i >= 256; i--)
        if (v->tokens[i].special && v->tokens[i].text[0] == text[0] && !strcmp(v->tokens[i].text, text)) return i;
    return -1;
}

static inline bool vocab_is_end(const void *arg, int32_t id)
{
    const struct vocab *v = arg;
    return id >= 0 && id < v->n && v->tokens[id].end;
}

static inline bool vocab_is_control(const void *arg, int32_t id)
{
    const struct vocab *v = arg;
    return id >= 0 && id < v->n && v->tokens[id].control;
}

/* Longest match first. */
static inline int vocab_encode(const void *arg, const char *text, size_t n, enum token_parse parse, struct tokens *out, struct err *e)
{
    const struct vocab *v = arg;
    for (size_t at = 0; at < n;) {
        int32_t best = -1;
        for (int i = 0; i < v->n; i++) {
            size_t len = v->tokens[i].len;
            if (v->tokens[i].text[0] != text[at] || (v->tokens[i].special && parse != PARSE_CONTROL)) continue;
            if (len <= n - at && !memcmp(v->tokens[i].text, text + at, len) &&
                (best < 0 || len > v->tokens[best].len || v->tokens[i].special))
                best = i;
        }
        if (tokens_push(out, best)) return err_set(e, ERR_NOMEM, "out of memory");
        at += v->tokens[best].len;
    }
    return 0;
}

static inline struct think_vocab vocab_functions(const struct vocab *v)
{
    return (struct think_vocab){v, vocab_size, vocab_piece, vocab_find, vocab_is_end, vocab_is_control, vocab_encode};
}

static inline void script_text(const struct vocab *v, struct tokens *script, const char *text)
{
    assert_int_equal(vocab_encode(v, text, strlen(text), PARSE_NONE, script, NULL), 0);
}

static inline void script_markup(const struct vocab *v, struct tokens *script, const char *text)
{
    assert_int_equal(vocab_encode(v, text, strlen(text), PARSE_CONTROL, script, NULL), 0);
}

/* ---- a reply ------------------------------------------------------------------------------------------------- */

#define SPANS_MAX      32
#define WAIT_FOR_PLACE 8 /* tokens the controller may wait for whole characters and tags */

struct reply {
    struct think *t;
    const struct think_vocab *v;
    struct think_event events[256]; /* but those of text */
    int n_events;
    enum think_event_kind last_kind;
    struct str thought, answer;
    struct {
        size_t position, offset, len;
        char kind[16], author[16];
    } spans[SPANS_MAX];
    int n_spans, opened, closed, ended, loops, escapes, budgets;
    enum thought_ending thought_ending;
    enum answer_ending answer_ending;
    struct tokens timeline;
    int sampled, forced, refused, masked;
    int sampled_in_state[THINK_DONE + 1];
    int64_t ms, ms_per_token;
    int32_t end_id;
    bool greedy;       /* the model takes the best logit instead of what its script says: the script's token has 10, all others 0 */
};

static inline void reply_drain(struct reply *r)
{
    struct think_event ev;
    while (think_pop(r->t, &ev)) {
        assert_true(r->ended == 0);
        assert_non_null(ev.text);
        assert_true(ev.position <= r->timeline.n + 1);
        struct str *s = ev.kind == THINK_TEXT_THOUGHT ? &r->thought : &r->answer;
        switch (ev.kind) {
        case THINK_TEXT_THOUGHT:
        case THINK_TEXT_ANSWER:
            assert_true(ev.text_len > 0);
            assert_true(utf8_is_valid(ev.text, ev.text_len));
            str_add_bytes(s, ev.text, ev.text_len);
            break;
        case THINK_OPENED:
            assert_int_equal(r->opened, r->closed);
            r->opened++;
            break;
        case THINK_CLOSED:
            r->closed++;
            r->thought_ending = ev.thought_ending;
            break;
        case THINK_BUDGET: r->budgets++; break;
        case THINK_INJECTED: {
            assert_true(r->n_spans < SPANS_MAX);
            assert_true(ev.offset + ev.text_len <= r->thought.len);
            if (ev.text_len) assert_memory_equal(str_cstr(&r->thought) + ev.offset, ev.text, ev.text_len);
            r->spans[r->n_spans].position = ev.position;
            r->spans[r->n_spans].offset = ev.offset;
            r->spans[r->n_spans].len = ev.text_len;
            snprintf(r->spans[r->n_spans].kind, 16, "%s", ev.span_kind);
            snprintf(r->spans[r->n_spans++].author, 16, "%s", ev.author);
            break;
        }
        case THINK_LOOP: r->loops++; break;
        case THINK_ESCAPED:
            r->escapes++;
            assert_int_equal(ev.count, r->escapes);
            break;
        case THINK_ENDED:
            r->ended++;
            r->thought_ending = ev.thought_ending;
            r->answer_ending = ev.answer_ending;
            break;
        }
        r->last_kind = ev.kind;
        if (ev.kind == THINK_TEXT_THOUGHT || ev.kind == THINK_TEXT_ANSWER) continue;
        assert_true(r->n_events < (int)ARRAY_LEN(r->events));
        r->events[r->n_events] = ev;
        r->events[r->n_events++].text = NULL;
    }
}

static inline void reply_start(struct reply *r, const struct think_config *c, const struct think_vocab *v, int32_t end_id)
{
    memset(r, 0, sizeof *r);
    r->v = v;
    r->end_id = end_id;
    struct err e = {0};
    assert_int_equal(think_new_with(&r->t, c, v, &e), 0);
    reply_drain(r);
}

static inline void reply_free(struct reply *r)
{
    think_free(r->t);
    str_release(&r->thought);
    str_release(&r->answer);
    tokens_release(&r->timeline);
}

static inline enum think_state reply_state(const struct reply *r)
{
    struct think_stats s;
    think_stats(r->t, &s);
    return s.state;
}

/* One turn of the loop that the chat layer runs; id is what the model wants to say. False once the reply is over. *taken: the script
 * moves on. */
static inline bool reply_step(struct reply *r, int32_t id, bool *taken)
{
    static float logits[200000];
    int n_vocab = r->v->size(r->v->arg);
    int32_t forced = -1;
    for (int i = 0; i < n_vocab; i++) logits[i] = 0;
    if (id >= 0) logits[id] = 10;
    *taken = false;
    enum think_action act = think_next(r->t, logits, r->ms, &forced);
    reply_drain(r);
    if (act == THINK_DO_END) return false;
    bool keep = true;
    struct err e = {0};
    if (act == THINK_DO_FORCE) {
        assert_true(forced >= 0 && forced < n_vocab);
        assert_int_equal(think_accept(r->t, forced, true, &keep, &e), 0);
        assert_true(keep);
        r->forced++;
        id = forced;
    } else {
        *taken = true;
        if (logits[id] == -INFINITY) { /* a model says something else then */
            r->masked++;
            if (id != r->end_id) return true;
            id = 'x';
            *taken = false;
        } else if (r->greedy) {
            int32_t best = id;
            for (int i = 0; i < n_vocab; i++)
                if (logits[i] > logits[best]) best = i;
            *taken = best == id;
            id = best;
        }
        r->sampled_in_state[reply_state(r)]++;
        assert_int_equal(think_accept(r->t, id, false, &keep, &e), 0);
        r->sampled++;
        r->refused += !keep;
    }
    if (keep) {
        assert_int_equal(tokens_push(&r->timeline, id), 0);
        r->ms += r->ms_per_token;
    }
    reply_drain(r);
    return think_running(r->t);
}

static inline int reply_do(struct reply *r, const struct think_command *c)
{
    struct err e = {0};
    int rc = think_do(r->t, c, &e);
    if (rc) assert_true(e.text[0] != 0);
    reply_drain(r);
    return rc;
}

/* Plays the script, then end tokens until the reply ends. `at` (may be NULL) is given before every token. */
static inline void reply_play(struct reply *r, const struct tokens *script, void (*before)(struct reply *r, size_t step, void *arg),
                              void *arg)
{
    size_t at = 0, step = 0;
    bool taken = false, on = think_running(r->t);
    for (; on && step < 20000; step++) {
        if (before) before(r, step, arg);
        on = reply_step(r, at < script->n ? script->ids[at] : r->end_id, &taken);
        at += taken && at < script->n;
    }
    assert_true(step < 20000);
    reply_drain(r);
}

/* What holds for every reply that has ended. */
static inline void reply_check(struct reply *r, const struct family *f)
{
    struct think_stats s;
    think_stats(r->t, &s);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->last_kind, THINK_ENDED);
    assert_int_equal(s.state, THINK_DONE);
    assert_int_equal(s.thought_ending, r->thought_ending);
    assert_int_equal(s.answer_ending, r->answer_ending);
    assert_true(r->closed == r->opened || (r->closed + 1 == r->opened && r->answer_ending == ANSWER_NOT_BEGUN));
    assert_true(s.thought_tokens >= 0 && s.answer_tokens >= 0);
    assert_true((size_t)(s.thought_tokens + s.answer_tokens) <= r->timeline.n);
    assert_int_equal(s.escaped, r->escapes);
    for (int i = 0; i < r->n_spans; i++) {
        assert_true(r->spans[i].offset + r->spans[i].len <= r->thought.len);
        assert_true(r->spans[i].position <= r->timeline.n);
        assert_true(!i || r->spans[i].offset >= r->spans[i - 1].offset + r->spans[i - 1].len);
    }
    assert_true(r->budgets >= 1);
    assert_int_equal(r->events[0].kind, THINK_BUDGET);
    assert_true(!r->thought.len || str_cstr(&r->thought)[0] != '\n');
    assert_true(!r->answer.len || str_cstr(&r->answer)[0] != '\n');
    for (size_t i = 0; f && f->open[i]; i++) {
        assert_null(strstr(str_cstr(&r->thought), f->open[i]));
        assert_null(strstr(str_cstr(&r->answer), f->open[i]));
    }
    for (size_t i = 0; f && f->close[i]; i++) {
        assert_null(strstr(str_cstr(&r->thought), f->close[i]));
        assert_null(strstr(str_cstr(&r->answer), f->close[i]));
    }
}

static inline bool reply_has_span(const struct reply *r, const char *kind)
{
    for (int i = 0; i < r->n_spans; i++)
        if (!strcmp(r->spans[i].kind, kind)) return true;
    return false;
}

static inline int reply_thought_tokens(const struct reply *r)
{
    struct think_stats s;
    think_stats(r->t, &s);
    return s.thought_tokens;
}

/* ---- one family, its vocabulary, a script and the reply it makes ---------------------------------------------- */

static const struct budget unlimited = {BUDGET_UNLIMITED, 0};

/* A test's world: one family, its vocabulary, a script and the reply it makes. */
struct world {
    const struct family *f;
    struct vocab v;
    struct think_vocab tv;
    struct think_config c;
    struct tokens script;
    struct reply r;
};

static inline void setup(struct world *w, const char *family, bool as_tokens, struct budget b)
{
    memset(w, 0, sizeof *w);
    w->f = family_by_name(family);
    assert_non_null(w->f);
    vocab_init(&w->v, w->f, as_tokens);
    w->tv = vocab_functions(&w->v);
    w->c = (struct think_config){.family = w->f,
                                 .think = true,
                                 .thought_open = w->f->start != THOUGHT_BY_MODEL,
                                 .budget = b,
                                 .answer_reserve = 100,
                                 .context_left = 3000};
}

static inline void start(struct world *w)
{
    reply_start(&w->r, &w->c, &w->tv, w->v.end_id);
}

static inline void say(struct world *w, const char *text)
{
    script_text(&w->v, &w->script, text);
}

static inline void markup(struct world *w, const char *text)
{
    script_markup(&w->v, &w->script, text);
}

static inline void play(struct world *w)
{
    reply_play(&w->r, &w->script, NULL, NULL);
}

static inline void done(struct world *w)
{
    tokens_release(&w->script);
    reply_free(&w->r);
}

/* Plays n tokens of filler, which makes no tag and no sentence end. */
static inline void fill(struct world *w, int n)
{
    static const char *const words[] = {" two", " and", " three", " the", " total", " makes", " five", " add"};
    bool taken;
    unsigned x = 7;
    for (int i = 0; i < n; i++) {
        x = x * 1103515245u + 12345u;
        const char *word = words[x >> 16 & 7];
        assert_true(reply_step(&w->r, vocab_add(&w->v, word, strlen(word)), &taken));
    }
}

static inline int command(struct world *w, enum think_verb verb)
{
    return reply_do(&w->r, &(struct think_command){.verb = verb});
}

static inline int set_budget(struct world *w, enum budget_kind kind, double amount)
{
    return reply_do(&w->r, &(struct think_command){.verb = THINK_SET_BUDGET, .budget = {kind, amount}});
}

static inline int tell(struct world *w, const char *line)
{
    return reply_do(&w->r, &(struct think_command){.verb = THINK_SAY, .text = line, .text_len = strlen(line)});
}

static inline struct think_stats stats(struct world *w)
{
    struct think_stats s;
    think_stats(w->r.t, &s);
    return s;
}

#endif
