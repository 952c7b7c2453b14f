/*
 * term_info.c - terminfo look-ups, apart from the rest because of the macros in <term.h>.
 */
#include "ui/term_priv.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <term.h>

int term_info_check(const char *type, struct err *e)
{
    int status = 0;
    TERMINAL *before = set_curterm(NULL);
    const char *shown = type ? type : getenv("TERM");
    int rc = ERR_OK;
    if (setupterm((char *)(uintptr_t)type, STDOUT_FILENO, &status) != OK) {
        rc = err_set(e, ERR_UNSUPPORTED, "the terminal type \"%s\" is unknown", shown ? shown : "");
    } else {
        const char *cup = tigetstr("cup");
        if (!cup || cup == (char *)-1)
            rc = err_set(e, ERR_UNSUPPORTED, "a terminal of type \"%s\" cannot address its cursor", shown ? shown : "");
    }
    TERMINAL *mine = set_curterm(before);
    if (mine) del_curterm(mine);
    return rc;
}

void term_info_string(const char *capability, struct str *out)
{
    const char *s = tigetstr((char *)(uintptr_t)capability);
    if (!s || s == (char *)-1) return;
    for (; *s; s++) {
        if (s[0] == '$' && s[1] == '<') { /* $<5> is a delay of 5 ms */
            const char *end = strchr(s, '>');
            if (end) {
                s = end;
                continue;
            }
        }
        str_add_char(out, *s);
    }
}

void *term_info_swap(void *entry)
{
    return set_curterm(entry);
}
