/* review.c - ponder review: which replies wait for a rating, and the full-screen program over them. */
#include "cli/record.h"
#include "ui/ui.h"

#include <unistd.h>

struct review_wish {
    struct search_filter filter;
    const char *words;
    bool json, again;
};

static int parse(struct args *a, struct review_wish *w)
{
    enum args_kind kind;

    while ((kind = args_next(a)) != ARGS_END) {
        if (kind == ARGS_BAD) return 2;
        if (kind == ARGS_WORD) return cli_usage("review", "unknown argument %s", a->value);
        bool since = args_is(a, "--since"), until = args_is(a, "--until");
        if (args_is(a, "--model")) w->filter.model = a->value;
        if (args_is(a, "--tag")) w->filter.tag = a->value;
        if (args_is(a, "--ending")) w->filter.ending = a->value;
        if (args_is(a, "--search")) w->words = a->value;
        if (args_is(a, "--json")) w->json = true;
        if (args_is(a, "--from-start")) w->again = true;
        if ((since || until) && !record_parse_time(a->value, until, since ? &w->filter.since_ms : &w->filter.until_ms))
            return cli_usage("review", "%s takes YYYY-MM-DD or YYYY-MM-DDTHH:MM, not \"%s\"", a->name, a->value);
    }
    return 0;
}

static int put_list(const struct id_list *l)
{
    int code = 0;
    for (size_t i = 0; i < l->n && !code; i++) code = record_put_json(json_pack("{s:I}", "message", (json_int_t)l->ids[i]));
    return code;
}

int cmd_review(int argc, char **argv)
{
    struct review_wish w = {0};
    struct id_list waiting = {0};
    struct store *s = NULL;
    struct args a;

    int code = args_begin(&a, argc, argv, "--model --tag --ending --since --until --search", "--json --from-start");
    if (code) return code;
    code = parse(&a, &w);
    if (!code && !w.json && (!isatty(0) || !isatty(1))) code = cli_usage("review", "goes through replies in a terminal; --json lists them");
    if (!code) {
        int rc = record_open(&s, &a.set, &a.err);
        if (!rc) rc = store_unrated(s, &w.filter, w.words, &waiting, &a.err);
        if (!rc && w.again) rc = store_set_review_place(s, 0, &a.err);
        if (rc) {
            code = cli_fail(&a.err);
        } else if (w.json) {
            code = put_list(&waiting);
        } else if (!waiting.n) {
            puts("no reply waits for a rating");
        } else {
            const struct ui_options o = {.settings = &a.set, .store = s, .model_path = "", .review = waiting.ids, .n_review = waiting.n};
            code = ui_run(&o);
        }
        code = cli_finish(code);
    }
    id_list_release(&waiting);
    store_close(s);
    args_end(&a);
    return code;
}
