/*
 * template_roles.c - the templates with a framing of their own: DeepSeek-R1, Llama 3, Gemma, Phi-3, Mistral, Ministral, Granite,
 * GLM, Seed-OSS and gpt-oss (harmony).
 *
 * The framing is the program's, every content is from outside.
 */
#include "model/template.h"

#include <string.h>

/* What the Jinja texts say when they refuse. */
#define MUST_ALTERNATE "the template wants user and assistant in turn, the user first"

static void add_eos(struct prompt *p, const struct family *f)
{
    prompt_add(p, f->facts->eos);
}

/* ---- DeepSeek-R1 and its distills --------------------------------------------------------------------------- */

/* System text stands bare behind BOS. */
int render_deepseek(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                    struct err *e)
{
    const struct chat_message *system = NULL;
    (void)e;
    prompt_add_bos(out, f, o);
    for (size_t i = 0; i < n; i++) {
        if (m[i].role != ROLE_SYSTEM) continue;
        if (f->facts->joins_systems) {
            if (system) prompt_add(out, "\n\n");
            prompt_add_slice(out, slice_content(&m[i]));
        }
        system = &m[i];
    }
    if (system && !f->facts->joins_systems) prompt_add_slice(out, slice_content(system));
    for (size_t i = 0; i < n; i++) {
        struct slice content = slice_content(&m[i]);
        if (m[i].role == ROLE_USER) {
            prompt_add(out, "<｜User｜>");
            prompt_add_slice(out, content);
        } else if (m[i].role == ROLE_ASSISTANT) {
            prompt_add(out, "<｜Assistant｜>");
            prompt_add_kept(out, f, &m[i], o);
            prompt_add_slice(out, o->keep_thoughts ? content : slice_after_last(content, "</think>"));
            add_eos(out, f);
        }
    }
    reply_begin(out, f, o, "<｜Assistant｜>");
    return 0;
}

/* ---- Llama 3 ------------------------------------------------------------------------------------------------ */

static struct slice llama_content(const struct family *f, const struct chat_message *m)
{
    return f->facts->untrimmed ? slice_content(m) : slice_strip(slice_content(m));
}

static void llama_header(struct prompt *p, enum role r)
{
    prompt_add(p, "<|start_header_id|>");
    prompt_add(p, role_name(r));
    prompt_add(p, "<|end_header_id|>\n\n");
}

/* Llama 3.1 and 3.2 open with a system block of their own that prints a date; Llama 3 has none. */
int render_llama3(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                  struct err *e)
{
    const struct template_facts *x = f->facts;
    size_t i = 0;
    if (n) prompt_add_bos(out, f, o);
    if (x->prints_date) {
        llama_header(out, ROLE_SYSTEM);
        prompt_add(out, "Cutting Knowledge Date: December 2023\nToday Date: ");
        int rc = 0;
        if (x->fixed_date)
            prompt_add(out, x->fixed_date);
        else
            rc = prompt_add_date(out, o, "%d %b %Y", e);
        if (rc) return rc;
        prompt_add(out, "\n\n");
        if (m[0].role == ROLE_SYSTEM) prompt_add_slice(out, llama_content(f, &m[i++]));
        prompt_add(out, "<|eot_id|>");
    }
    for (; i < n; i++) {
        llama_header(out, m[i].role);
        if (m[i].role == ROLE_ASSISTANT) prompt_add_kept(out, f, &m[i], o);
        prompt_add_slice(out, llama_content(f, &m[i]));
        prompt_add(out, "<|eot_id|>");
    }
    reply_begin(out, f, o, "<|start_header_id|>assistant<|end_header_id|>\n\n");
    return 0;
}

/* ---- Gemma -------------------------------------------------------------------------------------------------- */

/* Gemma 2 refuses a system message in front, so that it arrives here merged; Gemma 3 puts it before the first message. Neither
 * looks at the role of a message at an odd place, a system message there is framed as one. */
int render_gemma(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                 struct err *e)
{
    size_t first = 0;
    if (m[0].role == ROLE_SYSTEM) {
        if (f->facts->system_in_user)
            return err_set(e, ERR_INVALID, "the template has no system role, and no user message follows that could take it");
        first = 1;
    }
    prompt_add_bos(out, f, o);
    for (size_t i = first; i < n; i++) {
        if ((m[i].role == ROLE_USER) != ((i - first) % 2 == 0)) return err_set(e, ERR_INVALID, MUST_ALTERNATE);
        prompt_add(out, "<start_of_turn>");
        prompt_add(out, m[i].role == ROLE_ASSISTANT ? "model" : role_name(m[i].role));
        prompt_add(out, "\n");
        if (i == first && first) {
            prompt_add_slice(out, slice_content(&m[0]));
            prompt_add(out, "\n\n");
        }
        if (m[i].role == ROLE_ASSISTANT) prompt_add_kept(out, f, &m[i], o);
        prompt_add_slice(out, slice_strip(slice_content(&m[i])));
        prompt_add(out, "<end_of_turn>\n");
    }
    reply_begin(out, f, o, "<start_of_turn>model\n");
    return 0;
}

/* ---- Phi-3 -------------------------------------------------------------------------------------------------- */

int render_phi3(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                struct err *e)
{
    static const char *const headers[] = {[ROLE_SYSTEM] = "<|system|>\n", [ROLE_USER] = "<|user|>\n", [ROLE_ASSISTANT] = "<|assistant|>\n"};
    (void)e;
    for (size_t i = 0; i < n; i++) {
        if (m[i].role == ROLE_SYSTEM && !m[i].content_len && f->facts->skips_empty_system) continue;
        prompt_add(out, headers[m[i].role]);
        if (m[i].role == ROLE_ASSISTANT) prompt_add_kept(out, f, &m[i], o);
        prompt_add_slice(out, slice_content(&m[i]));
        prompt_add(out, "<|end|>\n");
    }
    if (o->no_generation) add_eos(out, f);
    reply_begin(out, f, o, "<|assistant|>\n");
    return 0;
}

/* ---- Mistral ------------------------------------------------------------------------------------------------ */

/* The system text stands in the last message if that is the user's, nowhere otherwise. */
int render_mistral(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                   struct err *e)
{
    size_t first = m[0].role == ROLE_SYSTEM;
    prompt_add_bos(out, f, o);
    for (size_t i = first; i < n; i++) {
        if (m[i].role == ROLE_SYSTEM) return err_set(e, ERR_INVALID, "the template takes a system message at the beginning only");
        if ((m[i].role == ROLE_USER) != ((i - first) % 2 == 0)) return err_set(e, ERR_INVALID, MUST_ALTERNATE);
        if (m[i].role == ROLE_USER) {
            prompt_add(out, "[INST]");
            if (first && i + 1 == n) {
                prompt_add_slice(out, slice_content(&m[0]));
                prompt_add(out, "\n\n");
            }
            prompt_add_slice(out, slice_content(&m[i]));
            prompt_add(out, "[/INST]");
        } else {
            prompt_add_kept(out, f, &m[i], o);
            prompt_add_slice(out, slice_content(&m[i]));
            add_eos(out, f);
        }
    }
    reply_begin(out, f, o, NULL);
    return 0;
}

int render_ministral(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                     struct err *e)
{
    size_t first = m[0].role == ROLE_SYSTEM;
    prompt_add_bos(out, f, o);
    prompt_add(out, "[SYSTEM_PROMPT]");
    if (first)
        prompt_add_slice(out, slice_content(&m[0]));
    else
        prompt_add(out, f->facts->system);
    prompt_add(out, "[/SYSTEM_PROMPT]");
    for (size_t i = first; i < n; i++) {
        if (m[i].role == ROLE_SYSTEM) return err_set(e, ERR_INVALID, "the template takes a system message at the beginning only");
        if ((m[i].role == ROLE_USER) != ((i - first) % 2 == 0)) return err_set(e, ERR_INVALID, MUST_ALTERNATE);
        if (m[i].role == ROLE_USER) {
            prompt_add(out, "[INST]");
            prompt_add_slice(out, slice_content(&m[i]));
            prompt_add(out, "[/INST]");
        } else {
            prompt_add_kept(out, f, &m[i], o);
            prompt_add_slice(out, slice_content(&m[i]));
            add_eos(out, f);
        }
    }
    reply_begin(out, f, o, NULL);
    return 0;
}

/* ---- Granite ------------------------------------------------------------------------------------------------ */

#define GRANITE_THINK                                                                                                                      \
    " You are a helpful AI assistant.\n"                                                                                                   \
    "Respond to every user query in a comprehensive and detailed way. You can write down your thoughts and reasoning "                     \
    "process before responding. In the thought process, engage in a comprehensive cycle of analysis, summarization, "                      \
    "exploration, reassessment, reflection, backtracing, and iteration to develop well-considered thinking process. In the "               \
    "response section, based on various attempts, explorations, and reflections from the thoughts section, systematically "                \
    "present the final solution that you deem correct. The response should summarize the thought process. Write your "                     \
    "thoughts between <think></think> and write your response between <response></response> for each user query."

static void granite_turn(struct prompt *p, enum role r)
{
    prompt_add(p, "<|start_of_role|>");
    prompt_add(p, role_name(r));
    prompt_add(p, "<|end_of_role|>");
}

/* The request to think is part of the template's own system text: a given one hides it, unless `prompted` adds it again. */
int render_granite(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                   struct err *e)
{
    size_t first = m[0].role == ROLE_SYSTEM;
    granite_turn(out, ROLE_SYSTEM);
    if (first) {
        prompt_add_slice(out, slice_content(&m[0]));
        if (o->think && o->prompted) prompt_add(out, GRANITE_THINK);
    } else {
        prompt_add(out, "Knowledge Cutoff Date: April 2024. Today's Date: ");
        int rc = prompt_add_date(out, o, "%B %d, %Y", e);
        if (rc) return rc;
        prompt_add(out, ". You are Granite, developed by IBM.");
        prompt_add(out, o->think ? GRANITE_THINK : " You are a helpful AI assistant.");
    }
    prompt_add(out, "<|end_of_text|>\n");
    for (size_t i = first; i < n; i++) {
        granite_turn(out, m[i].role);
        if (m[i].role == ROLE_ASSISTANT) prompt_add_kept(out, f, &m[i], o);
        prompt_add_slice(out, slice_content(&m[i]));
        prompt_add(out, "<|end_of_text|>\n");
    }
    /* The template opens the reply behind the last message of its loop: none, no opening. */
    if (n > first) reply_begin(out, f, o, "<|start_of_role|>assistant<|end_of_role|>");
    return 0;
}

/* ---- GLM ---------------------------------------------------------------------------------------------------- */

static void glm_reply(struct prompt *out, const struct chat_message *m, bool is_history, const struct render_options *o)
{
    struct slice content = slice_content(m), thought = slice_thought(m);
    if (!m->thought) slice_split_think(&content, &thought);
    prompt_add(out, "<|assistant|>\n<think>");
    if (thought.n && (!is_history || o->keep_thoughts)) prompt_add_slice(out, slice_strip(thought));
    prompt_add(out, "</think>");
    content = slice_strip(content);
    if (!content.n) return;
    prompt_add(out, "\n");
    prompt_add_slice(out, content);
}

int render_glm(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
               struct err *e)
{
    size_t after = 0;
    (void)e;
    for (size_t i = 0; i < n; i++)
        if (m[i].role == ROLE_USER) after = i + 1;
    prompt_add(out, "[gMASK]<sop>");
    for (size_t i = 0; i < n; i++) {
        struct slice content = slice_content(&m[i]);
        switch (m[i].role) {
        case ROLE_USER:
            prompt_add(out, "<|user|>\n");
            prompt_add_slice(out, content);
            if (!o->think && !slice_ends(content, "/nothink")) prompt_add(out, "/nothink");
            break;
        case ROLE_ASSISTANT: glm_reply(out, &m[i], i < after, o); break;
        case ROLE_SYSTEM:
            prompt_add(out, "<|system|>\n");
            prompt_add_slice(out, content);
            break;
        }
    }
    reply_begin(out, f, o, "<|assistant|>");
    return 0;
}

/* ---- Seed-OSS ----------------------------------------------------------------------------------------------- */

#define SEED_DIRECT                                                                                                                        \
    "<seed:bos>systemYou are an intelligent assistant that can answer questions in one step without the need for "                         \
    "reasoning and thinking, that is, your thinking budget is 0. Next, please skip the thinking process and directly "                     \
    "start answering the user's questions."

/* Keeps the thoughts of all turns. A reply without content is left without its end, as in the template. */
int render_seed(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                struct err *e)
{
    size_t first = m[0].role == ROLE_SYSTEM;
    (void)e;
    if (first) {
        prompt_add(out, "<seed:bos>system\n");
        prompt_add_slice(out, slice_content(&m[0]));
        add_eos(out, f);
    }
    /* The template's budget of 0, which is how this family is told not to think. */
    if (!o->think && o->force_off) {
        prompt_add(out, SEED_DIRECT);
        add_eos(out, f);
    }
    for (size_t i = first; i < n; i++) {
        prompt_add(out, "<seed:bos>");
        prompt_add(out, role_name(m[i].role));
        struct slice content = slice_content(&m[i]);
        if (m[i].role == ROLE_ASSISTANT) {
            struct slice thought = slice_strip(slice_thought(&m[i]));
            if (thought.n) {
                prompt_add(out, "\n<seed:think>");
                prompt_add_slice(out, thought);
                prompt_add(out, "</seed:think>");
            }
            content = slice_strip(content);
            if (!content.n) continue;
        }
        prompt_add(out, "\n");
        prompt_add_slice(out, content);
        add_eos(out, f);
    }
    reply_begin(out, f, o, "<seed:bos>assistant\n");
    return 0;
}

/* ---- gpt-oss ------------------------------------------------------------------------------------------------ */

/* Contents that look like the channels of a reply mean that a caller stored a raw reply; the template refuses those. */
static bool has_channel(struct slice s)
{
    return slice_has(s, "<|channel|>analysis<|message|>") || slice_has(s, "<|channel|>final<|message|>");
}

static void harmony_reply(struct prompt *out, const struct chat_message *m, bool ends_text, const struct render_options *o)
{
    if (m->thought && (ends_text || (o->keep_thoughts && m->thought_len))) {
        prompt_add(out, "<|start|>assistant<|channel|>analysis<|message|>");
        prompt_add_slice(out, slice_thought(m));
        prompt_add(out, "<|end|>");
    }
    prompt_add(out, "<|start|>assistant<|channel|>final<|message|>");
    prompt_add_slice(out, slice_content(m));
    prompt_add(out, ends_text ? "<|return|>" : "<|end|>");
}

int render_harmony(const struct family *f, struct prompt *out, const struct chat_message *m, size_t n, const struct render_options *o,
                   struct err *e)
{
    size_t first = m[0].role == ROLE_SYSTEM;
    prompt_add(out, "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n");
    prompt_add(out, "Knowledge cutoff: 2024-06\nCurrent date: ");
    int rc = prompt_add_date(out, o, "%Y-%m-%d", e);
    if (rc) return rc;
    prompt_add(out, "\n\nReasoning: medium\n\n");
    prompt_add(out, "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>");
    if (first && m[0].content_len) {
        prompt_add(out, "<|start|>developer<|message|># Instructions\n\n");
        prompt_add_slice(out, slice_content(&m[0]));
        prompt_add(out, "\n\n<|end|>");
    }
    for (size_t i = first; i < n; i++) {
        if (m[i].role == ROLE_ASSISTANT) {
            if (has_channel(slice_content(&m[i])) || has_channel(slice_thought(&m[i])))
                return err_set(e, ERR_INVALID, "the template takes no reply with <|channel|> tags in its text");
            harmony_reply(out, &m[i], i + 1 == n && o->no_generation, o);
        } else if (m[i].role == ROLE_USER) {
            prompt_add(out, "<|start|>user<|message|>");
            prompt_add_slice(out, slice_content(&m[i]));
            prompt_add(out, "<|end|>");
        }
    }
    reply_begin(out, f, o, "<|start|>assistant");
    return 0;
}
