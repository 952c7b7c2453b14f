/* record.h - what the subcommands of the record (list, show, search, delete, rate, export) share. */
#ifndef PONDER_CLI_RECORD_H
#define PONDER_CLI_RECORD_H

#include "cli/cli.h"

#include <jansson.h>

/* Walks the arguments of a command. Flags take their value as --flag VALUE or --flag=VALUE; --db works everywhere; -- ends the flags. */
struct args {
    int argc, at;
    char **argv;
    const char *with_value; /* names, space separated: " --limit -o " */
    const char *without;
    bool only_words;
    struct settings set;
    struct err err;
    char name[32];     /* the flag just met */
    const char *value; /* its value, or the word */
};
enum args_kind { ARGS_END, ARGS_WORD, ARGS_FLAG, ARGS_BAD };

/* Reads the settings and begins. 0, or the exit code of an error already told. */
int args_begin(struct args *a, int argc, char **argv, const char *with_value, const char *without);
enum args_kind args_next(struct args *a);
/* For commands that take nothing but --json: begins, and sets *json. 0, or the exit code of an error already told; args_end in any case. */
int args_only_json(struct args *a, int argc, char **argv, bool *json);
void args_end(struct args *a);
bool args_is(const struct args *a, const char *name);
/* The one word that a command wants; tells and returns 2 when there is none, or more. */
int args_one_word(struct args *a, const char *what, const char **word, bool *json);

/* Opens the record that the settings name. One that does not exist yet is read as an empty one, and not made. */
int record_open(struct store **out, const struct settings *set, struct err *e);
/* "2026-01-15 09:30" in local time. */
void record_time(int64_t wall_ms, char out[32]);
/* YYYY-MM-DD, or with THH:MM[:SS] and an optional Z, in UTC. last: the first moment after what is named. */
bool record_parse_time(const char *text, bool last, int64_t *out_ms);
/* up, none, down, or a number; "all" is the lowest. */
bool record_parse_rating(const char *text, int *out);
/* Prints on one line, sanitised. */
void record_put_line(FILE *f, const char *text);
/* A line of JSON, all ASCII; takes o. 0, or the exit code of an error already told. */
int record_put_json(json_t *o);
json_t *record_json_text(const char *text, size_t n);
json_t *record_json_time(int64_t wall_ms);

#endif
