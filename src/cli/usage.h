/*
 * usage.h - what the usage lines of the table of commands say, taken apart: the flags of a command, what they take, and the words it knows.
 * The manual page and the shells' completions are made from it. Internal to src/cli.
 */
#ifndef PONDER_CLI_USAGE_H
#define PONDER_CLI_USAGE_H

#include "cli/cli.h"

struct usage_flag {
    char name[32];       /* "--json", "-m" */
    char value[48];      /* what follows it, as the line says: "N", "FILE"; "" nothing */
    char words[256];     /* the values it takes where they are a choice, between blanks; "" free */
    const char *help;    /* of a setting; NULL none */
};
struct usage {
    struct usage_flag flags[96];
    size_t n_flags;
    char words[128];     /* what may stand without a flag, between blanks */
};
void usage_of(const struct command *c, struct usage *out);

#endif
