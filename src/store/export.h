/*
 * export.h - what the files of the export share.
 *
 *   export.c           options, order, duplicates, counts
 *   export_tree.c      a conversation as a tree, and which of its replies may be learnt from
 *   export_pairs.c     pairs from votes, corrections and opposite ratings
 *   export_record.c    what a record looks like in each format
 *   export_document.c  whole conversations: Markdown, HTML, JSON
 */
#ifndef PONDER_STORE_EXPORT_H
#define PONDER_STORE_EXPORT_H

#include "store/internal.h"

#include <jansson.h>

enum { OF_THOUGHT = 1, OF_ANSWER = 2 };
#define N_ENDINGS 12

/* For each ending, what it is allowed to end. */
struct allowed {
    bool all;
    int of[N_ENDINGS];
};

enum fate {
    FATE_KEPT,
    FATE_UNFINISHED,
    FATE_ENDING,
    FATE_RATING,
    FATE_FILTER,
    FATE_THOUGHT,
    FATE_SAY,
    FATE_UNRATED,
};

struct text {
    char *p;
    size_t n;
};

struct node {
    int64_t id, created_ms;
    size_t parent; /* place in the tree + 1; 0 a root */
    bool reply, streaming, corrected_answer, corrected_thought, tagged, reasoned;
    bool said;      /* a line of the user's is in the thought */
    bool open;      /* everything from the root to here may be learnt from */
    bool wanted;    /* may be learnt from, and was asked for */
    bool covered;   /* one below it is wanted */
    enum fate fate; /* of a reply: why it ends no record, its own or from above */
    int rating, thought_rating;
    struct text text, thought;          /* a prompt, or a reply as generated */
    struct text edited, edited_thought; /* where corrected */
    struct export_span *spans;          /* of the thought as generated */
    size_t n_spans, cap_spans;
    char *model, *model_sha256, *system, *family, *ended, *answer_ended;
};
struct tree {
    int64_t conversation;
    struct node *items;
    size_t n, cap;
};

struct seen {
    unsigned char (*digests)[32]; /* open addressing; all zero is free */
    size_t n, cap;                /* cap a power of two */
};

struct exporter {
    struct store *store;
    const struct export_options *options;
    const struct export_format_info *format;
    enum export_reasoning reasoning;
    struct allowed allowed;
    struct search_hits hits; /* of options->search, by message */
    char *reason;            /* options->reason as it stands in a list of reasons */
    struct export_counts counts;
    struct seen seen;
    struct {
        int64_t conversation, tree;
    } * groups; /* by conversation */
    size_t n_groups, cap_groups;
    export_write write;
    void *write_arg;
    struct err *err;
};

/* ---- export_tree.c ------------------------------------------------------------------------------------------- */

int parse_endings(struct allowed *out, const char *list, struct err *e);
int tree_load(struct exporter *x, int64_t conversation, struct tree *t);
void tree_release(struct tree *t);
/* The place of a message + 1, 0 when it is not in the tree. */
size_t tree_find(const struct tree *t, int64_t id);
/* Why a reply may not be learnt from: by itself, without its rating. */
enum fate reply_judge(const struct exporter *x, const struct node *n);
/* Whether a reply is asked for: model and time; tag, reason and words. */
bool reply_in_scope(const struct exporter *x, const struct node *n);
bool reply_is_marked(const struct exporter *x, const struct tree *t, const struct node *n);
/* Fills open, wanted, covered and fate of every node. */
void tree_decide(struct exporter *x, struct tree *t);
/* The reply with its corrected texts where it has some, or as it was generated. */
struct export_turn node_turn(const struct exporter *x, const struct node *n, bool as_generated);
/* The messages from the root down to and with items[last]; malloc'ed, the caller's. NULL when memory ran out. */
struct export_turn *tree_way(const struct exporter *x, const struct tree *t, size_t last, size_t *n);

/* ---- export_record.c ----------------------------------------------------------------------------------------- */

/* What a record is made from. turns: the whole way of a TASK_WAYS, what is above the replies otherwise. */
struct parts {
    const struct node *node; /* the (chosen) reply */
    int64_t conversation;
    const struct export_turn *turns;
    size_t n;
    const struct export_turn *chosen, *rejected;
    bool label;
    int strength;
    double weight; /* 0: none */
    const struct thought_steps *steps;
    size_t n_steps;       /* those that are exported */
    const char *steps_of; /* the text that the steps are cut from */
};
/* A line of JSON with its newline, appended to out. ERR_USAGE where a callback is missing. */
int record_make(struct exporter *x, const struct parts *p, struct str *out);
/* The tokens of the longest rendering of the parts. */
int record_tokens(struct exporter *x, const struct parts *p, int64_t *tokens);
int json_append_line(struct str *out, json_t *object, struct err *e); /* takes object */

/* ---- export.c ------------------------------------------------------------------------------------------------ */

/* Makes, measures, compares and writes one record. *written (may be NULL) tells whether it was. */
int export_parts(struct exporter *x, const struct parts *p, bool *written);
int export_bytes(struct exporter *x, const struct str *bytes, int64_t conversation, const struct node *n);

/* ---- export_pairs.c ------------------------------------------------------------------------------------------ */

int export_pairs(struct exporter *x);

/* ---- export_document.c --------------------------------------------------------------------------------------- */

int export_documents(struct exporter *x);

#endif
