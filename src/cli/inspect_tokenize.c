/*
 * inspect_tokenize.c - `ponder inspect tokenize`: the token ids of texts, for tests and bug reports.
 *
 * Records on stdin, each ended by byte 0x1E, give a line of ids each, without BOS. What follows the last 0x1E is a record too if it
 * is not empty. As plain text a record has its user-defined tokens recognised, with --special its control tokens as well.
 */
#include "cli/cli.h"
#include "model/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND    "inspect"
#define RECORD_END 0x1e

static void print_ids(const struct tokens *ids)
{
    for (size_t i = 0; i < ids->n; i++) printf(i ? " %d" : "%d", ids->ids[i]);
    putchar('\n');
}

static int tokenize_records(const struct tokenizer *t, enum token_parse parse, struct err *e)
{
    char *record = NULL;
    size_t cap = 0;
    struct tokens ids = {0};
    int rc = ERR_OK;
    ssize_t n;
    errno = 0;
    while (rc == ERR_OK && (n = getdelim(&record, &cap, RECORD_END, stdin)) > 0) {
        size_t len = (size_t)n - (record[n - 1] == RECORD_END);
        ids.n = 0;
        rc = tokenizer_encode(t, record, len, parse, &ids, e);
        if (rc == ERR_OK) print_ids(&ids);
        /* A program at the other end of two pipes waits for each line. */
        fflush(stdout);
        errno = 0;
    }
    if (rc == ERR_OK && (ferror(stdin) || errno == ENOMEM)) rc = err_set_errno(e, ERR_IO, "stdin");
    free(record);
    tokens_release(&ids);
    return rc;
}

int cmd_inspect_tokenize(int argc, char **argv)
{
    const char *model = NULL;
    enum token_parse parse = PARSE_USER;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--special") == 0)
            parse = PARSE_CONTROL;
        else if (strcmp(argv[i], "-m") != 0 && strcmp(argv[i], "--model") != 0)
            return cli_usage(COMMAND, "tokenize has no option \"%s\"", argv[i]);
        else if (i + 1 == argc)
            return cli_usage(COMMAND, "%s needs a value", argv[i]);
        else
            model = argv[++i];
    }
    if (!model) return cli_usage(COMMAND, "tokenize needs -m MODEL");
    struct err e = {0};
    struct str path = STR_EMPTY;
    struct tokenizer *t = NULL;
    int rc = model_path_of(&path, model, &e);
    if (rc == ERR_OK) rc = tokenizer_open(&t, str_cstr(&path), &e);
    if (rc == ERR_OK) rc = tokenize_records(t, parse, &e);
    tokenizer_free(t);
    str_release(&path);
    return cli_finish(rc ? cli_fail(&e) : 0);
}
