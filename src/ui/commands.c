/*
 * commands.c - slash commands: one table, from which help, palette and completion are made too.
 *
 * What begins with a slash and a letter is a command or a mistake, and never goes to the model.
 */
#include "ui/duel.h"
#include "ui/keymap.h"

#include <stdlib.h>
#include <string.h>

#define READ_MAX ((size_t)256 << 10)

static void say_error(struct app *a, const struct err *e)
{
    app_error(a, "%s", e->text);
}

static size_t word_end(const char *s)
{
    return strcspn(s, " \t\n");
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t\n");
}

/* ---- conversations ------------------------------------------------------------------------------------------------ */

static void cmd_new(struct app *a, const char *args)
{
    (void)args;
    struct err e = {0};
    if (app_open(a, 0, &e))
        say_error(a, &e);
    else
        app_notice(a, "a new conversation; /open finds the old ones");
}

static void cmd_open(struct app *a, const char *args)
{
    struct err e = {0};
    if (!*args) {
        popup_open_conversations(a);
        return;
    }
    char *end;
    long long id = strtoll(args + (*args == 'c'), &end, 10);
    if (id <= 0 || *skip_blanks(end)) {
        app_error(a, "/open takes a conversation's number (c12 or 12), or nothing for the list");
        return;
    }
    struct conversation_list l = {0};
    int rc = store_load_conversation(a->store, id, &l, &e);
    conversation_list_release(&l);
    if (!rc) rc = app_open(a, id, &e);
    if (rc) say_error(a, &e);
}

static void cmd_title(struct app *a, const char *args)
{
    struct err e = {0};
    int64_t id = a->port->conversation(a->chat);
    if (id <= 0 || !*args)
        app_error(a, id <= 0 ? "there is no conversation to name yet" : "/title TEXT");
    else if (store_set_title(a->store, id, args, &e))
        say_error(a, &e);
    else
        app_notice(a, "named \"%s\"", args);
}

static void cmd_regen(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_REGENERATE);
}

static void cmd_reroll(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_REROLL);
}

static void cmd_rethink(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_RETHINK);
}

static void cmd_drop(struct app *a, const char *args)
{
    (void)args;
    size_t n = a->port->queued(a->chat);
    while (a->port->queued(a->chat)) a->port->drop_queued(a->chat, 0);
    app_notice(a, n ? "%zu queued prompts dropped" : "nothing is queued", n);
}

static void cmd_private(struct app *a, const char *args)
{
    bool off = !strcmp(args, "off");
    if (*args && !off && strcmp(args, "on"))
        app_error(a, "/private begins a conversation that is not kept, /private off goes back to those that are");
    else if (app_running(a))
        app_error(a, "a reply is still being written: Esc stops it");
    else if (off != a->set.private_chat)
        app_notice(a, off ? "this conversation is kept" : "this conversation is not kept, not on disk and not in the input history");
    else
        a->want.other_record = true;
}

static void cmd_quit(struct app *a, const char *args)
{
    (void)args;
    app_quit(a, 0);
}

/* ---- model and settings ------------------------------------------------------------------------------------------- */

static void cmd_model(struct app *a, const char *args)
{
    struct err e = {0};
    if (!*args)
        popup_open_models(a);
    else if (app_load_model(a, args, &e))
        say_error(a, &e);
}

static void set_and_say(struct app *a, const char *name, const char *value)
{
    struct err e = {0};
    struct str now = STR_EMPTY;
    if (app_set(a, name, value, &e)) {
        say_error(a, &e);
        return;
    }
    const struct setting *d = settings_find(name);
    settings_get(&a->set, d, &now);
    app_notice(a, "%s = %s", d->name, str_cstr(&now));
    str_release(&now);
}

static void cmd_set(struct app *a, const char *args)
{
    if (!*args) {
        popup_open_settings(a);
        return;
    }
    size_t n = word_end(args);
    char *name = mem_dup_text(args, n);
    const char *value = skip_blanks(args + n);
    const struct setting *d = name ? settings_find(name) : NULL;
    if (!name) {
        app_error(a, "out of memory");
    } else if (!d) {
        app_error(a, "there is no setting \"%s\": /set lists them", name);
    } else if (!*value && !args[n]) {
        struct str now = STR_EMPTY;
        settings_get(&a->set, d, &now);
        app_notice(a, "%s = %s  (%s)", d->name, now.len ? now.data : "(empty)", d->help);
        str_release(&now);
    } else {
        set_and_say(a, name, value);
    }
    free(name);
}

static void cmd_tree(struct app *a, const char *args)
{
    (void)args;
    popup_open_tree(a);
}

static void cmd_system(struct app *a, const char *args)
{
    if (*args)
        set_and_say(a, "system", strcmp(args, "none") ? args : "");
    else
        app_notice(a, a->set.system[0] ? "system: %s" : "no system text; /system TEXT sets one, /system none takes it away", a->set.system);
}

static void cmd_budget(struct app *a, const char *args)
{
    struct err e = {0};
    struct budget b;
    char text[32];
    if (!*args) {
        budget_format(app_budget(a), text);
        app_notice(a, "budget: %s", text);
        return;
    }
    if (budget_parse(&b, args, &e) || app_set(a, "budget", args, &e)) {
        say_error(a, &e);
        return;
    }
    /* A reply that runs gets it too; "off" cannot be had any more once it thinks, 0 can. */
    if (app_running(a)) app_set_budget(a, b.kind == BUDGET_OFF ? (struct budget){.kind = BUDGET_TOKENS} : b);
    budget_format(b, text);
    if (!a->notice_is_error || !a->notice.len)
        app_notice(a, "budget: %s%s", text,
                   b.kind == BUDGET_TOKENS ? " tok, this reply and those after it" : ", this reply and those after it");
}

static void cmd_think(struct app *a, const char *args)
{
    if (*args)
        set_and_say(a, "think", args);
    else
        app_notice(a, "thinking is %s; /think on or /think off", a->set.think);
}

static void cmd_thoughts(struct app *a, const char *args)
{
    if (*args)
        set_and_say(a, "thoughts", args);
    else
        app_notice(a, "thoughts are shown: %s (auto, tail, full or hidden)", a->set.thoughts);
}

static void cmd_layout(struct app *a, const char *args)
{
    set_and_say(a, "layout", *args ? args : strcmp(a->set.layout, "side") ? "side" : "inline");
    if (!strcmp(a->set.layout, "side") && !app_beside(a)) app_notice(a, "side by side from 110 columns on; this window has %d", a->w);
}

static void cmd_theme(struct app *a, const char *args)
{
    if (*args)
        set_and_say(a, "theme", args);
    else
        popup_open_themes(a);
}

/* ---- the running reply -------------------------------------------------------------------------------------------- */

static void cmd_answer(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_ANSWER_NOW);
}

static void cmd_more(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_THINK_MORE);
}

static void cmd_pause(struct app *a, const char *args)
{
    (void)args;
    if (a->port->paused(a->chat))
        app_notice(a, "paused already; /resume goes on");
    else
        app_act(a, ACT_PAUSE);
}

static void cmd_resume(struct app *a, const char *args)
{
    (void)args;
    if (app_running(a) && !a->port->paused(a->chat))
        app_notice(a, "it is not paused");
    else
        app_act(a, ACT_PAUSE);
}

static void cmd_unlimited(struct app *a, const char *args)
{
    (void)args;
    app_act(a, ACT_UNLIMITED);
}

static void cmd_stop(struct app *a, const char *args)
{
    (void)args;
    app_stop(a);
}

static void cmd_say(struct app *a, const char *args)
{
    struct err e = {0};
    if (!*args)
        app_act(a, ACT_SAY);
    else if (a->port->command(a->chat, &(struct think_command){.verb = THINK_SAY, .text = args, .text_len = strlen(args)}, &e))
        say_error(a, &e);
}

/* ---- messages ----------------------------------------------------------------------------------------------------- */

static void cmd_rate(struct app *a, const char *args)
{
    static const struct {
        const char *word;
        int value;
    } values[] = {{"up", 1}, {"+", 1}, {"down", -1}, {"-", -1}, {"none", 0}};
    size_t n = word_end(args), k = 0;
    const char *rest = skip_blanks(args + n);
    while (k < ARRAY_LEN(values) && (strlen(values[k].word) != n || strncmp(values[k].word, args, n))) k++;
    enum part part = !strcmp(rest, "thought") ? PART_THOUGHT : PART_ANSWER;
    if (k == ARRAY_LEN(values) || (*rest && part == PART_ANSWER && strcmp(rest, "answer"))) {
        app_error(a, "/rate up, down or none, and perhaps: thought");
        return;
    }
    size_t i = app_target_reply(a);
    if (i == SIZE_MAX) {
        app_error(a, "there is no reply to rate");
        return;
    }
    int now = part == PART_ANSWER ? a->t.items[i].answer_rating : a->t.items[i].thought_rating;
    if (values[k].value != now)
        reading_rate(a, part, values[k].value ? values[k].value : now); /* the same again takes it back */
    else
        app_notice(a, now ? "rated so already" : "it is not rated");
}

static void cmd_fold(struct app *a, const char *args)
{
    enum view v = view_by_name(args);
    size_t i = app_target_reply(a);
    while (i != SIZE_MAX && !item_has_thought(&a->t.items[i])) i--;
    if (*args && v == VIEW_AUTO)
        app_error(a, "/fold folded, tail or full");
    else if (i == SIZE_MAX)
        app_error(a, "there is no thought to fold");
    else if (*args)
        app_set_fold(a, i, v);
    else
        app_toggle_fold(a, i);
}

static void cmd_copy(struct app *a, const char *args)
{
    size_t i = app_target_reply(a);
    if (i == SIZE_MAX) {
        app_error(a, "there is no reply to copy");
        return;
    }
    struct item *it = &a->t.items[i];
    const struct str *s = flow_text(!strcmp(args, "thought") ? &it->thought : &it->text);
    if (s->len)
        app_copy(a, s->data, s->len);
    else
        app_error(a, "it is empty");
}

/* Appends path with a leading ~ replaced by the home folder. */
static void expand_home(struct str *out, const char *path)
{
    const char *home = getenv("HOME");
    if (path[0] == '~' && (path[1] == '/' || !path[1]) && home) {
        str_add(out, home);
        path++;
    }
    str_add(out, path);
}

static void cmd_read(struct app *a, const char *args)
{
    struct err e = {0};
    struct str path = STR_EMPTY, text = STR_EMPTY, line = STR_EMPTY;
    expand_home(&path, args);
    if (!*args)
        app_error(a, "/read PATH puts a text file into the prompt");
    else if (file_read(&text, str_cstr(&path), READ_MAX, &e))
        say_error(a, &e);
    else if (text.len && memchr(text.data, 0, text.len))
        app_error(a, "%s is no text file", args);
    else {
        if (text.len) text.len = text_normalise_newlines(text.data, text.len);
        str_addf(&line, "%s:\n```\n", args);
        str_add_bytes(&line, str_cstr(&text), text.len);
        str_addf(&line, "%s```\n", text.len && text.data[text.len - 1] != '\n' ? "\n" : "");
        line_set(a->line, str_cstr(&line), line.len);
        app_line_changed(a);
        app_notice(a, "%s is in the prompt: add your question, then Enter", args);
    }
    str_release(&path);
    str_release(&text);
    str_release(&line);
}

static void cmd_dump(struct app *a, const char *args)
{
    struct err e = {0};
    struct str path = STR_EMPTY, text = STR_EMPTY;
    struct grid g;
    grid_init(&g);
    str_clear(&a->notice);
    screen_draw(a, &g);
    grid_dump(&g, false, &text);
    grid_release(&g);
    int rc = 0;
    if (*args)
        expand_home(&path, args);
    else
        rc = path_of(&path, PATH_STATE, "screen.txt", &e);
    if (!rc && *args) rc = outside_write(str_cstr(&path), str_cstr(&text), text.len, &e);
    if (!rc && !*args) rc = file_write_atomic(str_cstr(&path), str_cstr(&text), text.len, &e);
    if (rc)
        say_error(a, &e);
    else
        app_notice(a, "the screen is in %s", str_cstr(&path));
    str_release(&path);
    str_release(&text);
}

static void cmd_help(struct app *a, const char *args)
{
    if (!*args) {
        app_act(a, ACT_HELP);
        return;
    }
    args += *args == '/';
    const struct command_def *c = command_find(args, strlen(args));
    if (c)
        app_notice(a, "/%s%s%s: %s", c->name, c->args[0] ? " " : "", c->args, c->help);
    else
        app_error(a, "there is no command /%s", args);
}

/* ---- the table ---------------------------------------------------------------------------------------------------- */

const struct command_def commands_table[] = {
    {"help", "[COMMAND]", "keys and commands", cmd_help, COMPLETE_COMMAND, NULL},
    {"new", "", "begin a new conversation", cmd_new, COMPLETE_NONE, NULL},
    {"open", "[ID]", "another conversation; without a number the list of all", cmd_open, COMPLETE_CONVERSATION, NULL},
    {"private", "[off]", "begin a conversation that leaves nothing on disk", cmd_private, COMPLETE_WORDS, "off"},
    {"tree", "", "the branches of this conversation", cmd_tree, COMPLETE_NONE, NULL},
    {"title", "TEXT", "name this conversation", cmd_title, COMPLETE_NONE, NULL},
    {"model", "[NAME|FILE]", "load another model", cmd_model, COMPLETE_MODEL, NULL},
    {"system", "[TEXT|none]", "the system text of this conversation", cmd_system, COMPLETE_WORDS, "none"},
    {"set", "[NAME VALUE]", "the settings; one changed this way holds until you leave", cmd_set, COMPLETE_SETTING, NULL},
    {"budget", "[N|Ns|off|unlimited]", "how much this reply and those after it may think", cmd_budget, COMPLETE_WORDS,
     "100 200 400 1000 10s 30s off unlimited"},
    {"think", "on|off", "let the model think, from the next reply", cmd_think, COMPLETE_WORDS, "on off"},
    {"thoughts", "auto|tail|full|hidden", "how thoughts are shown", cmd_thoughts, COMPLETE_WORDS, "auto tail full hidden"},
    {"answer", "", "answer now", cmd_answer, COMPLETE_NONE, NULL},
    {"more", "", "think more", cmd_more, COMPLETE_NONE, NULL},
    {"pause", "", "pause the reply", cmd_pause, COMPLETE_NONE, NULL},
    {"resume", "", "go on with it", cmd_resume, COMPLETE_NONE, NULL},
    {"say", "TEXT", "put a line into the thought", cmd_say, COMPLETE_NONE, NULL},
    {"unlimited", "", "lift the budget of this reply, or of the next", cmd_unlimited, COMPLETE_NONE, NULL},
    {"stop", "", "stop the reply; what is there stays", cmd_stop, COMPLETE_NONE, NULL},
    {"regen", "", "write the newest reply again", cmd_regen, COMPLETE_NONE, NULL},
    {"reroll", "", "write the newest answer again and keep its thought", cmd_reroll, COMPLETE_NONE, NULL},
    {"rethink", "", "go on from a point of the newest thought", cmd_rethink, COMPLETE_NONE, NULL},
    {"vote", "N [PROMPT]", "N samples at once; what most of them answer becomes the reply", cmd_vote, COMPLETE_WORDS, "3 5 8"},
    {"compare", "BUDGET BUDGET... [PROMPT]", "the same prompt with several budgets, side by side", cmd_compare, COMPLETE_NONE, NULL},
    {"pick", "N", "go on with reply N of a vote or comparison", cmd_pick, COMPLETE_NONE, NULL},
    {"drop", "", "drop the prompts that are queued", cmd_drop, COMPLETE_NONE, NULL},
    {"rate", "up|down|none [thought]", "rate the newest answer, or its thought", cmd_rate, COMPLETE_WORDS, "up down none"},
    {"ab", "[budgets X Y|models X Y|answer] [TEXT]", "two replies, shown when both are written, in random order: which is better?", duel_start,
     COMPLETE_WORDS, "budgets models answer"},
    {"fold", "[folded|tail|full]", "how the newest thought is shown", cmd_fold, COMPLETE_WORDS, "folded tail full"},
    {"copy", "[thought]", "copy the newest answer", cmd_copy, COMPLETE_WORDS, "thought"},
    {"read", "PATH", "put a text file into the prompt", cmd_read, COMPLETE_FILE, NULL},
    {"layout", "inline|side", "thoughts above the answer, or beside it from 110 columns on", cmd_layout, COMPLETE_WORDS, "inline side"},
    {"theme", "[NAME]", "colours", cmd_theme, COMPLETE_THEME, NULL},
    {"dump", "[PATH]", "write the screen to a file, for bug reports", cmd_dump, COMPLETE_FILE, NULL},
    {"quit", "", "leave; everything is kept", cmd_quit, COMPLETE_NONE, NULL},
};
const size_t commands_count = ARRAY_LEN(commands_table);

static const struct {
    const char *name, *means;
} aliases[] = {{"exit", "quit"}, {"bye", "quit"}, {"q", "quit"}, {"clear", "new"}, {"regenerate", "regen"}, {"?", "help"}};

const struct command_def *command_find(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (strlen(aliases[i].name) == n && !memcmp(aliases[i].name, name, n)) {
            name = aliases[i].means;
            n = strlen(name);
            break;
        }
    for (size_t i = 0; i < commands_count; i++)
        if (strlen(commands_table[i].name) == n && !memcmp(commands_table[i].name, name, n)) return &commands_table[i];
    return NULL;
}

bool command_is(const char *text, size_t n)
{
    if (!n || text[0] != '/') return false;
    return n == 1 || (text[1] >= 'a' && text[1] <= 'z') || (text[1] >= 'A' && text[1] <= 'Z') || text[1] == '?';
}

/* Letters that have to be changed, put in or left out to make b of a; at most 9, words of at most 15 letters. */
static int distance(const char *a, size_t na, const char *b, size_t nb)
{
    int row[16];
    if (na > 15 || nb > 15) return 9;
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]), best = row[j] + 1 < row[j - 1] + 1 ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[nb];
}

static const char *nearest(const char *name, size_t n)
{
    const char *best = NULL;
    int least = 3;
    for (size_t i = 0; i < commands_count; i++) {
        const char *c = commands_table[i].name;
        int d = n >= 2 && !strncmp(c, name, n) ? 1 : distance(name, n, c, strlen(c));
        if (d < least) {
            least = d;
            best = c;
        }
    }
    return best;
}

void command_run(struct app *a, const char *text, size_t n)
{
    char *copy = mem_dup_text(text + 1, n - 1);
    if (!copy) {
        app_error(a, "out of memory");
        return;
    }
    size_t name = word_end(copy), len = strlen(copy);
    while (len > name && strchr(" \t\n", copy[len - 1])) copy[--len] = '\0';
    const struct command_def *c = command_find(copy, name);
    if (c && duel_writing(a) && strcmp(c->name, "help") && strcmp(c->name, "quit") && strcmp(c->name, "stop")) {
        app_error(a, "two replies are being compared first; Esc calls it off");
    } else if (c) {
        c->run(a, skip_blanks(copy + name));
    } else {
        /* The line comes back, so that one letter can be mended instead of typing it all again. */
        const char *near = nearest(copy, name);
        line_set(a->line, text, n);
        app_line_changed(a);
        if (near)
            app_error(a, "there is no command /%.*s: /%s? (//%.*s sends it to the model)", (int)name, copy, near, (int)name, copy);
        else
            app_error(a, "there is no command /%.*s: /help lists them (//%.*s sends it to the model)", (int)name, copy, (int)name, copy);
    }
    free(copy);
}
