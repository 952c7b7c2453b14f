/* Fuzz target: lines of `ask --control` and budgets as typed. A line that no reply is there for is an error with a text. */
#include "fuzz.h"
#include "chat/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chat *chat;
    static struct store *store;
    static struct settings set;
    struct err e = {0};
    if (!chat) check(!settings_init(&set, NULL) && !store_open(&store, NULL, NULL) && !chat_new(&chat, &set, "/nowhere/none.gguf", store, NULL));
    for (size_t at = 0; at < size;) {
        const uint8_t *eol = memchr(data + at, '\n', size - at);
        size_t n = (eol ? (size_t)(eol - data) : size) - at;
        check(chat_control(chat, (const char *)data + at, n, &e) != 0 && e.text[0] && utf8_is_valid(e.text, strlen(e.text)));
        char *line = mem_dup_text((const char *)data + at, n), text[32], again[32];
        struct budget b, c;
        if (line && !budget_parse(&b, line, NULL)) {
            budget_format(b, text);
            check(!budget_parse(&c, text, NULL));
            budget_format(c, again);
            check(!strcmp(text, again));
        }
        free(line);
        at += n + 1;
    }
    return 0;
}
