/*
 * template_chatml.c - the templates that frame a message as <|im_start|>role ... <|im_end|>: plain ChatML, SmolLM, Qwen, QwQ,
 * MiniCPM and LFM. They differ in the system text, in what stays of earlier thoughts, and in how a reply opens.
 *
 * The framing is the program's, every content is from outside.
 */
#include "model/template.h"

#include <string.h>

#define REPLY_HEADER "<|im_start|>assistant\n"

static void begin(struct prompt *p, enum role r)
{
    prompt_add(p, "<|im_start|>");
    prompt_add(p, role_name(r));
    prompt_add(p, "\n");
}

static void end(struct prompt *p)
{
    prompt_add(p, "<|im_end|>\n");
}

static void turn(struct prompt *p, enum role r, struct slice content)
{
    begin(p, r);
    prompt_add_slice(p, content);
    end(p);
}

/* BOS and the system message. Returns how many messages that used up. */
static size_t head(struct prompt *p, const struct family *f, const struct chat_message *m, size_t n, const struct render_options *o)
{
    const struct template_facts *x = f->facts;
    prompt_add_bos(p, f, o);
    if (n && m[0].role == ROLE_SYSTEM) {
        if (m[0].content_len || !x->skips_empty_system) turn(p, ROLE_SYSTEM, slice_content(&m[0]));
        return 1;
    }
    if (n && x->system) {
        begin(p, ROLE_SYSTEM);
        prompt_add(p, x->system);
        end(p);
    }
    return 0;
}

/* Plain ChatML, SmolLM2, Qwen2.5, LFM2; QwQ with an inline thought cut from every reply but one in last place. */
int render_chatml(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e)
{
    (void)e;
    for (size_t i = head(out, f, m, n, o); i < n; i++) {
        struct slice content = slice_content(&m[i]);
        begin(out, m[i].role);
        if (m[i].role == ROLE_ASSISTANT) {
            prompt_add_kept(out, f, &m[i], o);
            if (f->facts->cuts_inline && i + 1 < n && !o->keep_thoughts)
                content = slice_lstrip_newlines(slice_after_last(content, "</think>"));
        }
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, o, REPLY_HEADER);
    return 0;
}

/* The last user message that is not the answer of a tool: thoughts before it are history. n - 1 and false when there is none. */
static bool last_query(const struct chat_message *m, size_t n, bool strip, size_t *at)
{
    for (size_t i = n; i-- > 0;) {
        struct slice content = slice_content(&m[i]);
        if (strip) content = slice_strip(content);
        if (m[i].role == ROLE_USER && !(slice_starts(content, "<tool_response>") && slice_ends(content, "</tool_response>"))) {
            *at = i;
            return true;
        }
    }
    *at = n - 1;
    return false;
}

static void thought_block(struct prompt *p, struct slice thought)
{
    prompt_add(p, "<think>\n");
    prompt_add_slice(p, thought);
    prompt_add(p, "\n</think>\n\n");
}

/* Qwen3 and MiniCPM5. A reply behind the last query keeps its thought; Qwen3 gives the last message a block even without one. */
int render_qwen3(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                 struct err *e)
{
    bool always = f->facts->block_in_last;
    size_t query;
    (void)e;
    last_query(m, n, false, &query);
    for (size_t i = head(out, f, m, n, o); i < n; i++) {
        struct slice content = slice_content(&m[i]), thought = slice_thought(&m[i]);
        if (m[i].role != ROLE_ASSISTANT) {
            turn(out, m[i].role, content);
            continue;
        }
        if (!m[i].thought) slice_split_think(&content, &thought);
        begin(out, ROLE_ASSISTANT);
        if ((i > query && (thought.n || (always && i + 1 == n))) || (o->keep_thoughts && thought.n)) {
            thought_block(out, slice_strip_newlines(thought));
            content = slice_lstrip_newlines(content);
        }
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, o, REPLY_HEADER);
    return 0;
}

/* Qwen3.5 and 3.6: contents stripped, a system message only in front, a query somewhere. */
int render_qwen35(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e)
{
    size_t query;
    if (!last_query(m, n, true, &query)) return err_set(e, ERR_INVALID, "the template finds no user message to answer");
    for (size_t i = 0; i < n; i++) {
        struct slice content = slice_strip(slice_content(&m[i])), thought = slice_thought(&m[i]);
        if (m[i].role == ROLE_SYSTEM && i) return err_set(e, ERR_INVALID, "the template takes a system message at the beginning only");
        if (m[i].role != ROLE_ASSISTANT) {
            turn(out, m[i].role, content);
            continue;
        }
        if (!m[i].thought) slice_split_think(&content, &thought);
        thought = slice_strip(thought);
        begin(out, ROLE_ASSISTANT);
        if (i > query || (o->keep_thoughts && thought.n)) thought_block(out, thought);
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, o, REPLY_HEADER);
    return 0;
}

/* ---- SmolLM3 ------------------------------------------------------------------------------------------------ */

#define SMOLLM3_NAME "You are a helpful AI assistant named SmolLM, trained by Hugging Face."
#define SMOLLM3_THINK                                                                                                                      \
    " Your role as an assistant involves thoroughly exploring questions through a systematic thinking process before "                     \
    "providing the final precise and accurate solutions. This requires engaging in a comprehensive cycle of analysis, "                    \
    "summarizing, exploration, reassessment, reflection, backtracking, and iteration to develop well-considered thinking "                 \
    "process. Please structure your response into two main sections: Thought and Solution using the specified format: "                    \
    "<think> Thought section </think> Solution section. In the Thought section, detail your reasoning process in steps. "                  \
    "Each step should include detailed considerations such as analysing questions, summarizing relevant findings, "                        \
    "brainstorming new ideas, verifying the accuracy of the current steps, refining any errors, and revisiting previous "                  \
    "steps. In the Solution section, based on various attempts, explorations, and reflections from the Thought section, "                  \
    "systematically present the final solution that you deem correct. The Solution section should be logical, accurate, "                  \
    "and concise and detail necessary steps needed to reach the conclusion."

/* The system block. A /think or /no_think in the system text wins over the option, and is taken out of it. */
static int smollm3_head(const struct family *f, struct prompt *out, const struct chat_message *m, struct str *custom, bool *think,
                        const struct render_options *o, struct err *e)
{
    struct str half = STR_EMPTY;
    bool override = false;
    if (m[0].role == ROLE_SYSTEM) {
        struct slice text = slice_content(&m[0]);
        if (slice_has(text, "/no_think"))
            *think = false;
        else if (slice_has(text, "/think"))
            *think = true;
        slice_without(&half, text, "/no_think");
        slice_without(custom, (struct slice){str_cstr(&half), half.len}, "/think");
        override = f->facts->prints_date && slice_has(text, "/system_override");
    }
    struct slice left = slice_rstrip((struct slice){str_cstr(custom), custom->len});
    if (override) {
        str_clear(&half);
        slice_without(&half, left, "/system_override");
        left = slice_rstrip((struct slice){str_cstr(&half), half.len});
    }
    prompt_add(out, "<|im_start|>system\n");
    int rc = 0;
    if (!override) {
        prompt_add(out, "## Metadata\n\nKnowledge Cutoff Date: June 2025\n");
        if (f->facts->prints_date) {
            prompt_add(out, "Today Date: ");
            rc = prompt_add_date(out, o, "%d %B %Y", e);
            prompt_add(out, "\n");
        }
        prompt_add(out, *think ? "Reasoning Mode: /think\n\n" : "Reasoning Mode: /no_think\n\n");
        prompt_add(out, "## Custom Instructions\n\n");
    }
    prompt_add_slice(out, left);
    if (!override) {
        if (!left.n) prompt_add(out, *think ? SMOLLM3_NAME SMOLLM3_THINK : SMOLLM3_NAME);
        prompt_add(out, "\n\n");
    }
    end(out);
    if (!str_ok(&half)) rc = err_set(e, ERR_NOMEM, "out of memory for the prompt");
    str_release(&half);
    return rc;
}

/* A system message elsewhere than in front is left out, as in the template. */
int render_smollm3(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                   struct err *e)
{
    struct render_options mode = *o;
    struct str custom = STR_EMPTY;
    int rc = smollm3_head(f, out, m, &custom, &mode.think, o, e);
    if (!rc && !str_ok(&custom)) rc = err_set(e, ERR_NOMEM, "out of memory for the prompt");
    str_release(&custom);
    if (rc) return rc;
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == ROLE_SYSTEM) continue;
        begin(out, m[i].role);
        struct slice content = slice_content(&m[i]);
        if (m[i].role == ROLE_ASSISTANT) {
            if (mode.think)
                prompt_add_kept(out, f, &m[i], o);
            else
                prompt_add(out, f->facts->opening_off);
            content = slice_lstrip_newlines(content);
        }
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, &mode, REPLY_HEADER);
    return 0;
}

/* ---- LFM2.5 ------------------------------------------------------------------------------------------------- */

/* Inline thoughts stay in the last reply only. */
int render_lfm25(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                 struct err *e)
{
    size_t last = n, i = head(out, f, m, n, o);
    (void)e;
    for (size_t k = i; k < n; k++)
        if (m[k].role == ROLE_ASSISTANT) last = k;
    for (; i < n; i++) {
        struct slice content = slice_content(&m[i]);
        begin(out, m[i].role);
        if (m[i].role == ROLE_ASSISTANT) {
            prompt_add_kept(out, f, &m[i], o);
            if (i != last && !o->keep_thoughts && slice_has(content, "</think>"))
                content = slice_strip(slice_after_last(content, "</think>"));
        }
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, o, REPLY_HEADER);
    return 0;
}

/* The later template of LFM2.5: thoughts, in their own field or inline, stay in replies behind the last user message. */
int render_lfm25_preserve(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n,
                          const struct render_options *o, struct err *e)
{
    size_t i = head(out, f, m, n, o), after = i;
    (void)e;
    for (size_t k = i; k < n; k++)
        if (m[k].role == ROLE_USER) after = k + 1;
    for (; i < n; i++) {
        struct slice content = slice_content(&m[i]);
        bool keep = o->keep_thoughts || i >= after;
        begin(out, m[i].role);
        if (m[i].role == ROLE_ASSISTANT && m[i].thought && keep) {
            prompt_add(out, "<think>");
            prompt_add_slice(out, slice_thought(&m[i]));
            prompt_add(out, "</think>");
        }
        if (m[i].role == ROLE_ASSISTANT && !keep && slice_has(content, "</think>"))
            content = slice_strip(slice_after_last(content, "</think>"));
        prompt_add_slice(out, content);
        end(out);
    }
    reply_begin(out, f, o, REPLY_HEADER);
    return 0;
}
