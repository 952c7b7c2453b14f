/* Fuzz target: the template of a model and the messages of a chat. First byte: options; then pieces, ended by byte 0: the template, then texts and thoughts. What came
 * from outside stays marked as such. */
#include "fuzz.h"
#include "model/model.h"

enum { MAX_MESSAGES = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) return 0;
    struct chat_message m[MAX_MESSAGES] = {0};
    struct render_options o = {.think = data[0] & 1, .force_off = data[0] & 2, .prompted = data[0] & 4, .keep_thoughts = data[0] & 8,
                               .no_generation = data[0] & 16, .date = "2026-01-02"};
    bool with_system = data[0] & 32, known;
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    size_t n = 0, n_template = 0;
    const char *template = at;
    for (int piece = 0; at < end && n < MAX_MESSAGES; piece++) {
        const char *stop = memchr(at, 0, (size_t)(end - at));
        size_t len = (size_t)((stop ? stop : end) - at);
        if (piece == 0) {
            n_template = len;
        } else if (piece % 2) {
            m[n] = (struct chat_message){.role = n == 0 && with_system ? ROLE_SYSTEM : (n + with_system) % 2 ? ROLE_ASSISTANT : ROLE_USER, .content = at, .content_len = len, .thought = "", .thought_len = 0};
            n++;
        } else if (n && m[n - 1].role == ROLE_ASSISTANT) {
            m[n - 1].thought = at;
            m[n - 1].thought_len = len;
        }
        at += len + 1;
    }
    const struct family *f = family_of_template(template, n_template, &known);
    check(f && f->name);
    struct prompt p = {0};
    struct err e = {0};
    if (n && !family_render(f, &p, m, n, &o, &e)) {
        size_t before = 0;
        for (size_t i = 0; i < p.n_outside; i++) {
            check(p.outside[i].from >= before && p.outside[i].from <= p.outside[i].to && p.outside[i].to <= p.text.len);
            before = p.outside[i].to;
        }
    }
    prompt_release(&p);
    return 0;
}
