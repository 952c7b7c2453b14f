/*
 * popup.h - what the pages and lists over the transcript share. Internal to src/ui; app.h opens them.
 *
 * Each kind is an entry of a table: what fills its rows, what Enter does, which keys are its own. The stack, searching, moving and drawing
 * are the same for all (popup.c).
 */
#ifndef PONDER_POPUP_H
#define PONDER_POPUP_H

#include "ui/keymap.h"

enum popup_kind {
    POPUP_PAGE,
    POPUP_HELP,
    POPUP_CONVERSATIONS,
    POPUP_MODELS,
    POPUP_THEMES,
    POPUP_PALETTE,
    POPUP_SETTINGS,
    POPUP_TREE,
    POPUP_STEPS,
    POPUP_KINDS
};

struct popup_row {
    char *text, *note;
    int64_t id;      /* conversation, message, place in a table; palette: action, or -1 - index of a command */
    int64_t message; /* where in the conversation the words were found, 0: by its title */
    bool strong;     /* stands out: the active branch, what is in use */
};

/* A model as the picker shows it, looked up once when the list opens. */
struct model_line {
    struct str name, note, about;
    bool loaded;
};

struct popup;
struct popup_kind_def {
    const char *title, *hint;
    bool page;                                                                  /* text to scroll, no rows */
    void (*fill)(struct app *a, struct popup *p);                               /* makes the rows that match what was typed */
    void (*choose)(struct app *a, struct popup *p);                             /* Enter on the selected row; NULL: nothing */
    bool (*key)(struct app *a, struct popup *p, const struct key *k);           /* keys of its own; false: not one of them */
    void (*moved)(struct app *a, struct popup *p);                              /* another row is selected */
    void (*cancelled)(struct app *a, struct popup *p);                          /* Esc closes it */
    void (*answered)(struct app *a, struct popup *p, const char *text);         /* Enter on a line that was asked for */
    void (*about)(const struct app *a, const struct popup *p, struct str *out); /* a line about the selected row */
};
extern const struct popup_kind_def popup_kind_conversations, popup_kind_models, popup_kind_themes, popup_kind_palette, popup_kind_settings,
    popup_kind_tree, popup_kind_steps;

struct popup {
    struct popup *below;
    enum popup_kind kind;
    const struct popup_kind_def *def;
    char title[64];
    struct str filter; /* what was typed to search, or to answer what is asked for */
    char asking[32];   /* "name": Enter gives the line to def->answered, Esc drops it; "" the line searches */
    struct popup_row *rows;
    size_t n, cap, selected, top;
    struct conversation_list conversations; /* POPUP_CONVERSATIONS */
    struct message_tree tree;               /* POPUP_TREE */
    struct str thought;                     /* POPUP_STEPS: exact bytes */
    struct thought_steps steps;
    int64_t reply;
    struct model_line *models;              /* POPUP_MODELS */
    size_t n_models, cap_models;
    struct settings at_start; /* POPUP_SETTINGS: what the next start will have, where that differs */
    bool has_at_start;
    struct flow page; /* POPUP_PAGE and POPUP_HELP */
    int page_columns; /* POPUP_HELP: what it was made for */
    struct theme theme_before;
    int inner_h; /* rows of the list, as drawn last */
    int inner_w; /* their columns */
};

/* NULL when memory runs out, with a line for the user. */
struct popup *popup_push(struct app *a, enum popup_kind kind, const char *title);
/* Adds a row; NULL when memory runs out. Valid until the next one. */
struct popup_row *popup_add_row(struct popup *p, const char *text, const char *note, int64_t id);
/* Makes the rows anew and selects the first. */
void popup_refill(struct app *a, struct popup *p);
/* The same, and selects the row with this id where it is still there, else the one at the same place. */
void popup_refill_at(struct app *a, struct popup *p, int64_t id);
/* Every word typed occurs in the text. */
bool popup_matches(const struct popup *p, const char *text);
struct popup_row *popup_selected(struct popup *p); /* NULL none */
/* Asks for a line: "NAME: text". */
void popup_ask(struct popup *p, const char *name, const char *text);

/* Whether `needed` bytes find room in what is free: "fits", "tight", "too large"; "" where it is not known. */
const char *model_fit_text(uint64_t needed, uint64_t available);
/* "Q4_K_M   1.12 GB  fits       19 tok/s" for a list of so many columns; narrow ones get less. tokens_per_s 0: never measured here. */
void model_row_text(struct str *out, const char *quant, uint64_t bytes, const char *fit, double tokens_per_s, int columns);

#endif
