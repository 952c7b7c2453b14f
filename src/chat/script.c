/*
 * script.c - what a reply is given when it is written again: commands at the token positions where they came, a thought as it stands.
 */
#include "chat/internal.h"

#include <stdlib.h>
#include <string.h>

void script_release(struct script *s)
{
    for (size_t i = 0; i < s->n_cues; i++) free((char *)(uintptr_t)s->cues[i].cmd.text);
    free(s->cues);
    str_release(&s->thought);
    *s = (struct script){0};
}

static int copy_cues(struct script *out, const struct chat_script *s, struct err *e)
{
    out->cues = calloc(s->n_cues ? s->n_cues : 1, sizeof *out->cues);
    if (!out->cues) return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < s->n_cues; i++) {
        struct chat_cue *c = &out->cues[i];
        *c = s->cues[i];
        out->n_cues++;
        if (!c->cmd.text) continue;
        c->cmd.text = mem_dup_text(c->cmd.text, c->cmd.text_len);
        if (!c->cmd.text) return err_set(e, ERR_NOMEM, "out of memory");
    }
    return 0;
}

int script_copy(struct script *out, const struct chat_script *s, struct err *e)
{
    *out = (struct script){.thought_goes_on = s->thought_goes_on, .thought_ending = s->thought_ending, .timeless = s->timeless};
    if (s->thought) str_add_bytes(&out->thought, s->thought, s->thought_len);
    if (s->date) snprintf(out->date, sizeof out->date, "%s", s->date);
    int rc = str_ok(&out->thought) ? copy_cues(out, s, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (rc) script_release(out);
    return rc;
}

const struct think_command *script_cue(struct script *s, size_t position)
{
    if (s->at >= s->n_cues || s->cues[s->at].position > position) return NULL;
    return &s->cues[s->at++].cmd;
}
