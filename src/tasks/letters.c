/* letters.c - families about letters: letters (counting one), backward. Words are spelled with blanks, where each letter is a token. */
#include "tasks/internal.h"

#include <ctype.h>
#include <string.h>

#define WORDS_MAX 15

static void spell(struct maker *m, const char *word)
{
    for (const char *p = word; *p; p++) go_on(m, p > word ? " %c" : "%c", *p);
}

void make_letters(struct maker *m)
{
    static const struct {
        int words_min, words_max, length_min, length_max;
    } levels[] = {{1, 1, 3, 6}, {1, 1, 6, 11}, {2, 4, 3, 8}, {5, 9, 2, 9}, {9, 15, 2, 10}};
    int n = draw(m, levels[m->level - 1].words_min, levels[m->level - 1].words_max), count = 0;
    char words[WORDS_MAX][24], all[WORDS_MAX * 24] = "";
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        a_word(m, levels[m->level - 1].length_min, levels[m->level - 1].length_max, chance(m, 15), words[i]);
        if (n > 4 && chance(m, 12)) words[i][0] = (char)toupper((unsigned char)words[i][0]);
        len += (size_t)snprintf(all + len, sizeof all - len, i ? " %s" : "%s", words[i]);
    }
    int c = 0;
    do c = chance(m, 75) ? tolower((unsigned char)all[draw(m, 0, (int)len - 1)]) : "aeiourstnlh"[draw(m, 0, 10)];
    while (c == ' ');
    switch (draw(m, 0, 2)) {
    case 0: ask(m, "How many times does the letter \"%c\" appear in the %s: \"%s\"?", c, n > 1 ? "text" : chance(m, 50) ? "text" : "word", all); break;
    case 1: ask(m, "How often is the letter %c in %s\"%s\"?", c, n > 1 ? "the text " : "", all); break;
    default: ask(m, "Count the letter %c in \"%s\".", c, all); break;
    }
    if (chance(m, 30)) perhaps_only(m, "number");
    key(m, "%c %s", c, all);
    say(m, "I spell it and count each %c:", c);
    for (int i = 0; i < n; i++) {
        go_on(m, i ? "," : "");
        for (const char *p = words[i]; *p; p++) {
            go_on(m, " %c", *p);
            if (tolower((unsigned char)*p) == c) go_on(m, "%d", ++count);
        }
    }
    answer_number(m, count);
}

void make_backward(struct maker *m)
{
    static const int low[] = {3, 4, 5, 7, 9}, high[] = {4, 5, 7, 9, 12};
    char word[24], back[24];
    a_word(m, low[m->level - 1], high[m->level - 1], chance(m, 40), word);
    size_t n = strlen(word);
    for (size_t i = 0; i < n; i++) back[i] = word[n - 1 - i];
    back[n] = '\0';
    static const char *const forms[] = {"Spell this word backward (example: cat -> tac): ", "Write this word backwards: ", "Reverse the letters of this word: ", "What is this word spelled backward: "};
    ask(m, "%s%s", PICK(m, forms), word);
    key(m, "%s", word);
    say(m, "Forward: ");
    spell(m, word);
    say(m, "Backward: ");
    spell(m, back);
    m->bare = true;
    answer(m, TASK_LETTERS, "%s", back);
}
