/*
 * chat_help.h - what the tests of src/chat share: a tiny random model in a folder of its own, settings, waiting for what a chat tells. The model has no
 * end token, so a thought lasts as long as its budget and an answer as long as answer_max. Included after cmocka.h.
 */
#ifndef PONDER_TESTS_CHAT_HELP_H
#define PONDER_TESTS_CHAT_HELP_H

#include "chat/chat.h"
#include "tiny_model.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TINY_SPEC(type) {"tiny", "llama", type, 2, 64, 160, 4, 4, 16, 16, 300, 65536, true, false, SCALING_NONE}

static char folder[64] = "/tmp/ponder-chat-XXXXXX", model[96];

static inline int chat_help_make_model(const struct tiny_spec *spec)
{
    struct tiny_model m;
    if (!mkdtemp(folder)) return -1;
    snprintf(model, sizeof model, "%s/tiny.gguf", folder);
    setenv("XDG_CACHE_HOME", folder, 1);
    tiny_init(&m, spec);
    int rc = gw_save(&m.w, model, SIZE_MAX);
    tiny_release(&m);
    return rc;
}

static inline int remove_model(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* Settings as at first, but for n of them. */
static inline void chat_help_settings(struct settings *set, const char *const (*pairs)[2], size_t n)
{
    struct err e = {0};
    assert_int_equal(settings_init(set, &e), 0);
    for (size_t i = 0; i < n; i++)
        if (settings_set(set, pairs[i][0], pairs[i][1], &e)) fail_msg("%s", e.text);
}

/* Hands events to `enough`, and now and then NULL, until it says so; false when that takes longer. */
static inline bool chat_help_pump(struct chat *c, int seconds, bool (*enough)(void *arg, const struct chat_event *ev), void *arg)
{
    int64_t until = clock_mono_ms() + seconds * 1000;
    while (!enough(arg, NULL) && clock_mono_ms() < until) {
        struct pollfd p = {.fd = chat_event_fd(c), .events = POLLIN};
        struct chat_event ev;
        bool done = false;
        poll(&p, 1, 1000);
        while (!done && chat_next_event(c, &ev)) {
            done = enough(arg, &ev);
            chat_event_release(&ev);
        }
        if (done) return true;
    }
    return enough(arg, NULL);
}

#endif
