/*
 * export_render.c - the export's view of models: templates as text, token counts, and which form of thoughts a template keeps.
 *
 * Text leaves out the BOS token that some templates write: tokenizers of training programs add it themselves, and two would be one too
 * many.
 */
#include "cli/export.h"

#include <stdlib.h>
#include <string.h>

static const struct family *family_of(const struct export_renderer *r, const char *name)
{
    const struct family *f = r->family ? r->family : family_by_name(name);
    return f ? f : family_by_name("chatml");
}

static const char *thought_key(void *arg, const char *name)
{
    const struct export_renderer *r = arg;
    const struct family *f = r->family ? r->family : family_by_name(name);
    return f ? f->thought_key : NULL;
}

/* ---- rendering ------------------------------------------------------------------------------------------------- */

static void add_reply(const struct family *f, const struct export_turn *t, bool thought_open, struct str *out)
{
    const char *thought = t->thought;
    size_t n = t->thought_len;

    while (n && *thought == '\n') thought++, n--;
    while (n && thought[n - 1] == '\n') n--;
    if (n && !thought_open && f->open) {
        str_add(out, f->open[0]);
        if (f->close_forced && f->close_forced[0] == '\n') str_add(out, "\n");
    }
    str_add_bytes(out, thought ? thought : "", n);
    if ((n || thought_open) && f->close_forced) str_add(out, f->close_forced);
    str_add_bytes(out, t->answer, t->answer_len);
}

static struct chat_message message_of(const struct export_turn *t)
{
    if (t->prompt) return (struct chat_message){.role = ROLE_USER, .content = t->prompt, .content_len = t->prompt_len};
    return (struct chat_message){
        .role = ROLE_ASSISTANT, .content = t->answer, .content_len = t->answer_len, .thought = t->thought, .thought_len = t->thought_len};
}

static int render(void *arg, const char *name, const char *system, const struct export_turn *turns, size_t n,
                  const struct export_turn *const *replies, size_t n_replies, struct str *prompt, struct str *completions, struct err *e)
{
    const struct export_renderer *r = arg;
    const struct family *f = family_of(r, name);
    bool think = n_replies && replies[0]->thought_len > 0;
    struct prompt p = {0};
    size_t first = system[0] ? 1 : 0;

    struct chat_message *m = calloc(n + 1, sizeof *m);
    if (!m) return err_set(e, ERR_NOMEM, "out of memory");
    m[0] = (struct chat_message){.role = ROLE_SYSTEM, .content = system, .content_len = strlen(system)};
    for (size_t i = 0; i < n; i++) m[first + i] = message_of(&turns[i]);
    int rc = family_render(f, &p, m, first + n, &(struct render_options){.think = think, .bos = ""}, e);
    free(m);
    if (!rc) str_add_bytes(prompt, str_cstr(&p.text), p.text.len);
    for (size_t i = 0; i < n_replies && !rc; i++) {
        add_reply(f, replies[i], p.thought_open, &completions[i]);
        rc = family_reply_end(f, &completions[i], e);
    }
    prompt_release(&p);
    return rc;
}

static int count_tokens(void *arg, const char *text, size_t n, int64_t *tokens, struct err *e)
{
    const struct export_renderer *r = arg;
    struct tokens ids = {0};

    int rc = tokenizer_encode(r->tokenizer, text, n, PARSE_CONTROL, &ids, e);
    *tokens = (int64_t)ids.n + tokenizer_adds_bos(r->tokenizer);
    tokens_release(&ids);
    return rc;
}

/* Whether a thought given in the form comes out of the template, in the last reply of a conversation. */
static bool keeps_thoughts(void *arg, const char *name, enum export_reasoning form)
{
    const struct export_renderer *r = arg;
    const struct family *f = r->family ? r->family : family_by_name(name);
    static const char inside[] = "<think>\n\x01thought\x01\n</think>\n\nx", thought[] = "\x01thought\x01";
    struct prompt p = {0};

    if (!f || form == REASONING_TEXT) return true;
    struct chat_message m[] = {{.role = ROLE_USER, .content = "x", .content_len = 1},
                               {.role = ROLE_ASSISTANT, .content = "x", .content_len = 1}};
    if (form == REASONING_INLINE) {
        m[1].content = inside;
        m[1].content_len = sizeof inside - 1;
    } else {
        m[1].thought = thought;
        m[1].thought_len = sizeof thought - 1;
    }
    int rc = family_render(f, &p, m, 2, &(struct render_options){.think = true, .no_generation = true, .bos = ""}, NULL);
    bool kept = !rc && p.text.len && memmem(p.text.data, p.text.len, thought, sizeof thought - 1);
    prompt_release(&p);
    return kept;
}

static void progress(void *arg, int64_t done, int64_t total)
{
    struct export_renderer *r = arg;
    int percent = total ? (int)(100 * done / total) : 100;

    if (!r->bar || percent == r->shown) return;
    r->shown = percent;
    fprintf(stderr, "\r[%-25.*s] %3d %%%s", percent / 4, "#########################", percent, done == total ? "\r\033[K" : "");
    fflush(stderr);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static int open_tokenizer(struct export_renderer *r, const char *model, struct err *e)
{
    struct str path = STR_EMPTY;

    int rc = model_path_of(&path, model, e);
    if (!rc) rc = tokenizer_open(&r->tokenizer, str_cstr(&path), e);
    str_release(&path);
    return rc;
}

int renderer_init(struct export_renderer *r, const char *model, const char *template_name, const char *fallback, bool counts, struct err *e)
{
    int rc = 0;

    *r = (struct export_renderer){.shown = -1};
    if (model || counts) rc = open_tokenizer(r, model ? model : fallback, e);
    if (!rc && template_name) {
        r->family = family_by_name(template_name);
        if (!r->family)
            rc = err_set(e, ERR_USAGE, "export: there is no template \"%s\"; names are qwen3, deepseek-r1-distill-qwen, smollm2 ...",
                         template_name);
    } else if (!rc && model) {
        bool known;
        size_t n = 0;
        const char *text = tokenizer_template(r->tokenizer, &n);
        r->family = family_of_template(text, n, &known);
    }
    return rc;
}

void renderer_release(struct export_renderer *r)
{
    tokenizer_free(r->tokenizer);
    r->tokenizer = NULL;
}

void renderer_connect(struct export_renderer *r, struct export_options *o)
{
    o->thought_key = thought_key;
    o->render = render;
    o->count_tokens = r->tokenizer ? count_tokens : NULL;
    o->keeps_thoughts = keeps_thoughts;
    o->progress = progress;
    o->arg = r;
}
