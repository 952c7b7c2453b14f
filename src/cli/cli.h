/*
 * cli.h - the subcommands, one file each, and what they share. Each cmd_NAME gets argv with argv[0] the subcommand's word, prints to stdout and stderr, and
 * returns the exit code: 0 done, 1 failed, 2 usage, 3 unusable file, 128+n signal.
 */
#ifndef PONDER_CLI_H
#define PONDER_CLI_H

#include "base/base.h"
#include "store/store.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *usage;      /* what follows the name, one line */
    const char *help;       /* one line */
};
/* The table, in main.c; ends with a NULL name. */
extern const struct command cli_commands[];
/* Picks the command (chat when the first word is a flag or missing) and runs it. */
int cli_main(int argc, char **argv);

int cmd_chat(int argc, char **argv);
int cmd_ask(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_rate(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_import(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_backup(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_redact(int argc, char **argv);
int cmd_review(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_models(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_sweep(int argc, char **argv);
int cmd_tasks(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_distill(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_completions(int argc, char **argv);
int cmd_man(int argc, char **argv);
int cmd_help(int argc, char **argv);
/* Parts of inspect; argv[0] is the part's word. */
int cmd_inspect_tokenize(int argc, char **argv);
int cmd_inspect_logits(int argc, char **argv);
int cmd_inspect_prompt(int argc, char **argv);
int cmd_inspect_gguf(int argc, char **argv);

/* Prints "ponder: TEXT" on stderr, sanitised to one line, and returns the exit code that belongs to the error. */
int cli_fail(const struct err *e);
/* The same for a usage error made here; returns 2. */
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Prints the usage line of a command on stdout; returns 0. */
int cli_command_help(const char *command);
/* Defaults, then ponder.ini, then PONDER_*. The caller releases. */
int cli_settings(struct settings *s, struct err *e);
/* Flushes stdout and tells whether everything was written; an exit code. */
int cli_finish(int code);
/* Writes text to stdout or stderr: exact but sanitised, as TEXT_SCREEN on a terminal and TEXT_PIPE elsewhere. */
void cli_put(FILE *f, const char *text, size_t n);
void cli_puts(FILE *f, const char *text);
/* Whether f is a terminal that takes bold and dim: not with NO_COLOR, not without a type, not a dumb one. */
bool cli_styled(FILE *f);
/* The record that the settings name: db, in memory when private, the default file otherwise. */
int cli_store_open(struct store **out, const struct settings *set, struct err *e);
/* Walls around a chat (settings.sandbox): writes only to ponder's own folders and the record's, no sockets, no programs. Call it when everything
 * named on the command line is open and before any thread starts. What the kernel lacks is left out: `ponder doctor` tells. */
void cli_sandbox(const struct settings *set, const struct store *store);
/* A number with an optional letter in front ("c12", "m34", "12"); false when it is none. */
bool cli_id(const char *text, char letter, int64_t *id);

/* ---- models (models.c) ---------------------------------------------------------------------------------------- */

/* An entry of models/catalogue.ini. Strings live as long as the program. */
struct catalogue_entry {
    char *name, *file, *title, *sha256, *licence, *family, *source, *note, *adapter;
    uint64_t bytes;
};
/* The i-th entry, NULL at the end; *e only where the catalogue itself is bad. */
const struct catalogue_entry *catalogue_at(size_t i, struct err *e);
const struct catalogue_entry *catalogue_find(const char *name);
/* Turns a catalogue name, the name of a file in the models folder, or a path into a path, appended to out. ERR_FILE says what to do when a
 * catalogue model has not been fetched yet. */
int model_path_of(struct str *out, const char *name, struct err *e);
/* Appends the path of the adapter that comes with the program for this model file: one of the catalogue, by its name and size. False: there is none. */
bool model_adapter_of(const char *model_path, struct str *out);
/* Names for completion and pickers: catalogue entries, then other .gguf files of the models folder. note: "98 MB, here". */
bool model_name_at(size_t i, struct str *name, struct str *note);

#endif
