/* chat_cmd.c - `ponder chat`: opens the record and hands over to the full-screen program, or to plain mode. */
#include "cli/cli.h"
#include "ui/ui.h"

#include <string.h>
#include <unistd.h>

struct chat_args {
    bool plain, resume_newest;
    int64_t resume;
};

static int parse(struct settings *set, struct chat_args *a, int argc, char **argv, struct err *e)
{
    for (int i = 1; i < argc; i++) {
        int took = settings_take_flag(set, argc, argv, &i, e);
        if (took < 0) return e->code;
        if (took) {
            i--;
        } else if (!strcmp(argv[i], "--plain")) {
            a->plain = true;
        } else if (!strcmp(argv[i], "--continue")) {
            a->resume_newest = true;
        } else if (!strcmp(argv[i], "--resume") && i + 1 < argc) {
            if (!cli_id(argv[++i], 'c', &a->resume)) return err_set(e, ERR_USAGE, "--resume: \"%s\" is no conversation's number", argv[i]);
        } else {
            return err_set(e, ERR_USAGE, "chat: unknown option %s (see `ponder help chat`; a question goes to `ponder ask`)", argv[i]);
        }
    }
    return 0;
}

int cmd_chat(int argc, char **argv)
{
    struct settings set = {0};
    struct chat_args a = {0};
    struct store *store = NULL;
    struct str path = STR_EMPTY;
    struct err e = {0}, trouble = {0};
    bool in_memory = false;
    int rc = cli_settings(&set, &e);
    if (!rc) rc = parse(&set, &a, argc, argv, &e);
    if (!rc) rc = model_path_of(&path, set.model, &e);
    if (!rc) outside_start(NULL); /* before the record and any thread; without it the editor does not start, and says so */
    if (!rc) {
        rc = cli_store_open(&store, &set, &trouble);
        in_memory = rc != 0;
        /* A folder that cannot be written is no reason not to talk; a database that another version wrote, or that is damaged, must not be passed over. */
        if (rc == ERR_IO || rc == ERR_FULL || rc == ERR_BUSY || rc == ERR_FILE)
            rc = store_open(&store, NULL, &e);
        else if (rc)
            e = trouble;
    }
    if (!rc && a.resume_newest && !a.resume) {
        rc = store_newest(store, &a.resume, &e);
        if (rc == ERR_NOT_FOUND) rc = 0;
    }
    struct conversation_list found = {0};
    if (!rc && a.resume) rc = store_load_conversation(store, a.resume, &found, &e);
    conversation_list_release(&found);
    int code = 0;
    if (!rc) {
        struct ui_options o = {
            .settings = &set,
            .store = store,
            .conversation = a.resume,
            .model_path = str_cstr(&path),
            .store_trouble = in_memory ? trouble.text : NULL,
            .model_path_of = model_path_of,
            .model_name_at = model_name_at,
        };
        cli_sandbox(&set, store);
        code = a.plain || !isatty(0) || !isatty(1) ? ui_plain(&o) : ui_run(&o);
    }
    store_close(store);
    outside_stop();
    settings_release(&set);
    str_release(&path);
    return rc ? cli_fail(&e) : cli_finish(code);
}
