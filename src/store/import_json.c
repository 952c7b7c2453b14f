/*
 * import_json.c - what other programs write: ChatGPT and Claude export archives, Open WebUI chats and feedback, ShareGPT and OpenAI
 * messages.
 *
 * Only text comes in: messages of tools, images and system notes are left out and counted, and what hangs below them hangs on what was
 * above. Thoughts come from where each program keeps them; <think> in front of an answer is a thought everywhere.
 */
#include "store/import.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* ---- small readers ------------------------------------------------------------------------------------------- */

static const char *text_at(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

/* Two digits at p, -1 when they are none. */
static int two(const char *p)
{
    return p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' ? 10 * (p[0] - '0') + p[1] - '0' : -1;
}

/* 2024-05-01T12:34:56[.123][Z|+00:00] as milliseconds since 1970; 0 when it is none. Offsets are honoured. */
static int64_t parse_iso(const char *p)
{
    static const int days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (!p || strlen(p) < 19 || p[4] != '-' || p[7] != '-') return 0;
    int century = two(p), year = two(p + 2), month = two(p + 5), day = two(p + 8), hour = two(p + 11), minute = two(p + 14),
        second = two(p + 17);
    if (century < 19 || year < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || minute < 0 || second < 0) return 0;
    int64_t y = 100 * century + year, leaps = (y - 1969) / 4 - (y - 1901) / 100 + (y - 1601) / 400;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    int64_t days = 365 * (y - 1970) + leaps + days_before[month - 1] + (leap && month > 2) + day - 1;
    int64_t ms = ((days * 24 + hour) * 60 + minute) * 60000 + second * 1000;
    p += 19;
    for (int64_t unit = 100; *p && (*p == '.' || (*p >= '0' && *p <= '9')); p++)
        if (*p != '.') {
            ms += unit * (*p - '0');
            unit /= 10;
        }
    if ((*p == '+' || *p == '-') && strlen(p) >= 6 && two(p + 1) >= 0 && two(p + 4) >= 0)
        ms += (*p == '+' ? -1 : 1) * (int64_t)(two(p + 1) * 60 + two(p + 4)) * 60000;
    return ms > 0 ? ms : 0;
}

/* Seconds or milliseconds since 1970, as a number or as ISO text. */
static int64_t time_at(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (json_is_string(v)) return parse_iso(json_string_value(v));
    double seconds = json_number_value(v);
    if (!(seconds > 0 && seconds < 1e17)) return 0;
    return (int64_t)(seconds < 1e11 ? seconds * 1000 + 0.5 : seconds < 1e14 ? seconds : seconds / 1e6);
}

/* A text, or the texts of a list of parts ({"text"} or plain), appended to out. Says whether anything else was there. */
static bool add_content(struct str *out, const json_t *content)
{
    bool other = false;

    if (json_is_string(content)) {
        str_add_bytes(out, json_string_value(content), json_string_length(content));
        return false;
    }
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i), *text = json_is_string(part) ? part : json_object_get(part, "text");
        const char *type = text_at(part, "type");
        if (!json_is_string(text) ||
            (type && strcmp(type, "text") != 0 && strcmp(type, "output_text") != 0 && strcmp(type, "input_text") != 0)) {
            other = true;
            continue;
        }
        if (out->len && json_string_length(text)) str_add(out, "\n\n");
        str_add_bytes(out, json_string_value(text), json_string_length(text));
    }
    return other;
}

/* ---- drafts -------------------------------------------------------------------------------------------------- */

static void set(struct draft *d, json_t *o, const char *key, json_t *value)
{
    if (json_object_set_new(o, key, value) != 0) d->failed = true;
}

void draft_init(struct draft *d, struct importer *im, const char *origin, const json_t *id, const char *title, int64_t created_ms)
{
    *d = (struct draft){
        .im = im, .conversation = json_object(), .messages = json_array(), .keys = json_object(), .next = im->file_n * 1000000};
    if (!d->conversation || !d->messages || !d->keys) d->failed = true;
    if (json_is_string(id) && json_string_length(id)) set(d, d->conversation, "origin", json_sprintf("%s:%s", origin, json_string_value(id)));
    if (title) set(d, d->conversation, "title", json_string(title));
    if (created_ms) set(d, d->conversation, "created_ms", json_integer(created_ms));
}

/* The message of a number of this draft. */
static json_t *message_of(const struct draft *d, int64_t number)
{
    for (size_t i = json_array_size(d->messages); number && i-- > 0;) {
        json_t *m = json_array_get(d->messages, i);
        if (json_integer_value(json_object_get(m, "id")) == number) return m;
    }
    return NULL;
}

static bool is_reply(const json_t *m)
{
    const char *role = text_at(m, "role");
    return role && !strcmp(role, "assistant");
}

/* The text under the key with more behind an empty line. */
static void append(struct draft *d, json_t *m, const char *key, const char *more)
{
    const char *old = text_at(m, key);

    if (!more || !more[0]) return;
    set(d, m, key, old && old[0] ? json_sprintf("%s\n\n%s", old, more) : json_string(more));
}

/* Where a <think> block ends that the text begins with: the bytes up to the answer; 0 when there is none. */
static size_t leading_thought(const char *text, const char **thought, size_t *n)
{
    const char *p = text + strspn(text, " \t\r\n");

    if (strncmp(p, "<think>", 7) != 0) return 0;
    const char *end = strstr(p, "</think>");
    if (!end) return 0;
    *thought = p + 7;
    *n = (size_t)(end - *thought);
    while (*n && strchr("\r\n", **thought)) ++*thought, --*n;
    while (*n && strchr("\r\n", (*thought)[*n - 1])) --*n;
    end += 8;
    return (size_t)(end - text) + strspn(end, "\r\n");
}

static void fill_reply(struct draft *d, json_t *m, const char *text, const char *thought, const char *model)
{
    const char *inside = NULL;
    size_t n = 0, skip = text && !(thought && thought[0]) ? leading_thought(text, &inside, &n) : 0;
    json_t *reply = json_object();

    if (skip)
        set(d, m, "thought", json_stringn(inside, n));
    else if (thought)
        set(d, m, "thought", json_string(thought));
    set(d, m, "text", json_string(text ? text + skip : ""));
    set(d, reply, "ended", json_string(skip || (thought && thought[0]) ? "natural" : "none"));
    if (text && text[skip]) set(d, reply, "answer_ended", json_string("complete"));
    if (model) set(d, reply, "model", json_string(model));
    set(d, m, "reply", reply);
}

void draft_add(struct draft *d, const char *key, const char *parent, bool reply, const char *text, const char *thought, int64_t created_ms,
               const char *model)
{
    int64_t above = parent ? json_integer_value(json_object_get(d->keys, parent)) : 0;
    json_t *on = message_of(d, above);
    bool empty = !(text && text[0]) && !(thought && thought[0]);

    if (d->failed) return;
    if (!empty && reply && is_reply(on)) {
        append(d, on, "thought", thought);
        append(d, on, "text", text);
        if (text && text[0]) set(d, json_object_get(on, "reply"), "answer_ended", json_string("complete"));
    }
    if (empty || (reply && !on) || (reply && is_reply(on))) {
        /* nothing to say, or nothing to answer: what follows hangs on what was above */
        if (empty || !on) d->im->report->left_out++;
        if (key && json_object_set_new(d->keys, key, json_integer(above)) != 0) d->failed = true;
        return;
    }
    json_t *m = json_object();
    set(d, m, "id", json_integer(++d->next));
    if (above) set(d, m, "parent", json_integer(above));
    set(d, m, "role", json_string(reply ? "assistant" : "user"));
    if (created_ms) set(d, m, "created_ms", json_integer(created_ms));
    if (reply)
        fill_reply(d, m, text, thought, model);
    else
        set(d, m, "text", json_string(text));
    if (json_array_append_new(d->messages, m) != 0) d->failed = true;
    if (key && json_object_set_new(d->keys, key, json_integer(d->next)) != 0) d->failed = true;
}

void draft_rate(struct draft *d, const char *key, int rating, const char *reason, const char *comment)
{
    json_t *m = message_of(d, json_integer_value(json_object_get(d->keys, key)));
    json_t *list = json_array(), *r = json_object();

    if (!is_reply(m) || json_object_get(m, "ratings")) {
        json_decref(list);
        json_decref(r);
        return;
    }
    set(d, r, "part", json_string("answer"));
    set(d, r, "value", json_integer(rating > 0 ? 1 : rating < 0 ? -1 : 0));
    if (reason && reason[0]) {
        json_t *reasons = json_pack("[s]", reason);
        char *text = reasons ? json_write(reasons, JSON_COMPACT) : NULL;
        set(d, r, "reasons", json_string(text ? text : "[]"));
        free(text);
        json_decref(reasons);
    }
    if (comment && comment[0]) set(d, r, "comment", json_string(comment));
    if (json_array_append_new(list, r) != 0) d->failed = true;
    set(d, m, "ratings", list);
}

json_t *draft_end(struct draft *d, const char *leaf)
{
    int64_t number = leaf ? json_integer_value(json_object_get(d->keys, leaf)) : 0;
    json_t *out = NULL;

    if (!d->failed && json_array_size(d->messages)) {
        if (number) set(d, d->conversation, "leaf", json_integer(number));
        /* the number of the conversation in the file must not tell two equal ones apart */
        if (!json_object_get(d->conversation, "origin")) {
            unsigned char digest[SHA256_DIGEST_LENGTH];
            char hex[33] = "";
            struct str all = STR_EMPTY;
            for (size_t i = 0; i < json_array_size(d->messages); i++) {
                const json_t *m = json_array_get(d->messages, i);
                str_addf(&all, "%s\n%s\n%s\n", text_at(m, "role"), text_at(m, "thought") ? text_at(m, "thought") : "", text_at(m, "text"));
            }
            if (!str_ok(&all) || !SHA256((const unsigned char *)str_cstr(&all), all.len, digest)) d->failed = true;
            for (int i = 0; i < 16 && !d->failed; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
            str_release(&all);
            set(d, d->conversation, "origin", json_sprintf("file:%s", hex));
        }
        set(d, d->conversation, "messages", json_incref(d->messages));
        if (!d->failed) out = json_incref(d->conversation);
    }
    if (d->failed) d->im->short_of_memory = true;
    json_decref(d->conversation);
    json_decref(d->messages);
    json_decref(d->keys);
    *d = (struct draft){0};
    return out;
}

/* ---- ChatGPT --------------------------------------------------------------------------------------------------- */

/* The text of a node, and where it is one, its thought. */
static void chatgpt_texts(const json_t *message, struct str *text, struct str *thought)
{
    const json_t *content = json_object_get(message, "content");
    const char *type = text_at(content, "content_type");

    if (!type) return;
    if (!strcmp(type, "text") || !strcmp(type, "multimodal_text")) {
        add_content(text, json_object_get(content, "parts"));
    } else if (!strcmp(type, "thoughts")) {
        const json_t *list = json_object_get(content, "thoughts");
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *t = json_array_get(list, i);
            const char *words = text_at(t, "content") && text_at(t, "content")[0] ? text_at(t, "content") : text_at(t, "summary");
            if (words) str_addf(thought, "%s%s", thought->len ? "\n\n" : "", words);
        }
    } else if (!strcmp(type, "code") && text_at(content, "text")) {
        str_addf(text, "```\n%s\n```", text_at(content, "text"));
    }
}

static void chatgpt_node(struct draft *d, const json_t *mapping, const char *key)
{
    const json_t *node = json_object_get(mapping, key), *message = json_object_get(node, "message");
    const char *role = text_at(json_object_get(message, "author"), "role");
    const char *recipient = text_at(message, "recipient");
    struct str text = STR_EMPTY, thought = STR_EMPTY;
    bool reply = role && !strcmp(role, "assistant"), user = role && !strcmp(role, "user");

    /* what goes to a tool is no answer */
    if ((reply && (!recipient || !strcmp(recipient, "all"))) || user) chatgpt_texts(message, &text, &thought);
    draft_add(d, key, text_at(node, "parent"), reply, str_cstr(&text), str_cstr(&thought), time_at(message, "create_time"),
              text_at(json_object_get(message, "metadata"), "model_slug"));
    str_release(&text);
    str_release(&thought);
}

static json_t *from_chatgpt(struct importer *im, const json_t *c)
{
    const json_t *mapping = json_object_get(c, "mapping"), *id = json_object_get(c, "conversation_id");
    struct draft d;
    json_t *waiting = json_array();
    const char *key;
    json_t *node;

    draft_init(&d, im, "chatgpt", id ? id : json_object_get(c, "id"), text_at(c, "title"), time_at(c, "create_time"));
    json_object_foreach((json_t *)(uintptr_t)mapping, key, node)
    {
        const char *parent = text_at(node, "parent");
        if (!parent || !json_object_get(mapping, parent)) json_array_append_new(waiting, json_string(key));
    }
    /* breadth first, so that a parent comes before its children; a node is taken once, however often it is named */
    for (size_t i = 0; i < json_array_size(waiting) && !d.failed; i++) {
        const char *at = json_string_value(json_array_get(waiting, i));
        if (json_object_get(d.keys, at)) continue;
        chatgpt_node(&d, mapping, at);
        const json_t *children = json_object_get(json_object_get(mapping, at), "children");
        for (size_t k = 0; k < json_array_size(children); k++) {
            const char *child = json_string_value(json_array_get(children, k));
            if (child && json_object_get(mapping, child) && !json_object_get(d.keys, child))
                json_array_append_new(waiting, json_string(child));
        }
    }
    json_decref(waiting);
    return draft_end(&d, text_at(c, "current_node"));
}

/* ---- Claude ---------------------------------------------------------------------------------------------------- */

static json_t *from_claude(struct importer *im, const json_t *c)
{
    const json_t *list = json_object_get(c, "chat_messages");
    struct draft d;
    char previous[128] = "";

    draft_init(&d, im, "claude", json_object_get(c, "uuid"), text_at(c, "name"), time_at(c, "created_at"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i), *content = json_object_get(m, "content");
        const char *sender = text_at(m, "sender"), *uuid = text_at(m, "uuid"), *parent = text_at(m, "parent_message_uuid");
        struct str text = STR_EMPTY, thought = STR_EMPTY;
        char key[128];
        snprintf(key, sizeof key, "%s", uuid ? uuid : "");
        if (!uuid) snprintf(key, sizeof key, "%zu", i);
        add_content(&text, content);
        for (size_t k = 0; k < json_array_size(content); k++) {
            const char *words = text_at(json_array_get(content, k), "thinking");
            if (words) str_addf(&thought, "%s%s", thought.len ? "\n\n" : "", words);
        }
        if (!text.len && text_at(m, "text")) str_add(&text, text_at(m, "text"));
        if (!parent || !json_object_get(d.keys, parent)) parent = previous[0] ? previous : NULL;
        draft_add(&d, key, parent, sender && !strcmp(sender, "assistant"), str_cstr(&text), str_cstr(&thought), time_at(m, "created_at"),
                  text_at(c, "model"));
        snprintf(previous, sizeof previous, "%s", key);
        str_release(&text);
        str_release(&thought);
    }
    return draft_end(&d, text_at(c, "current_leaf_message_uuid") ? text_at(c, "current_leaf_message_uuid") : previous);
}

/* ---- Open WebUI ------------------------------------------------------------------------------------------------ */

static void add_unescaped(struct str *out, const char *p, size_t n)
{
    static const struct {
        const char *name, *text;
    } names[] = {{"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}, {"&#x27;", "'"}, {"&#39;", "'"}};

    for (size_t i = 0; i < n;) {
        size_t k = 0;
        while (k < ARRAY_LEN(names) && (n - i < strlen(names[k].name) || memcmp(p + i, names[k].name, strlen(names[k].name)) != 0)) k++;
        if (k < ARRAY_LEN(names)) {
            str_add(out, names[k].text);
            i += strlen(names[k].name);
        } else {
            str_add_char(out, p[i++]);
        }
    }
}

/* Thoughts stand in <details type="reasoning"> blocks, quoted line by line behind a summary. The rest is the answer. */
static void webui_texts(const char *content, struct str *text, struct str *thought)
{
    for (;;) {
        const char *begin = strstr(content, "<details type=\"reasoning\""), *end = begin ? strstr(begin, "</details>") : NULL;
        if (!end) break;
        str_add_bytes(text, content, (size_t)(begin - content));
        const char *p = memmem(begin, (size_t)(end - begin), "</summary>", 10);
        p = p ? p + 10 : begin + strcspn(begin, ">") + 1;
        if (thought->len) str_add(thought, "\n\n");
        while (p < end && *p == '\n') p++;
        while (p < end) {
            const char *stop = memchr(p, '\n', (size_t)(end - p));
            size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p), skip = 0;
            if (n >= 4 && !memcmp(p, "&gt;", 4))
                skip = 4;
            else if (n && *p == '>')
                skip = 1;
            if (skip && skip < n && p[skip] == ' ') skip++;
            add_unescaped(thought, p + skip, n - skip);
            if (stop && stop + 1 < end) str_add_char(thought, '\n');
            p += n + (stop != NULL);
        }
        content = end + 10;
        content += strspn(content, "\n");
    }
    str_add(text, content);
}

static void webui_message(struct draft *d, const json_t *all, const char *key)
{
    const json_t *m = json_object_get(all, key), *note = json_object_get(m, "annotation");
    const char *role = text_at(m, "role");
    bool reply = role && !strcmp(role, "assistant");
    struct str text = STR_EMPTY, thought = STR_EMPTY, content = STR_EMPTY;

    add_content(&content, json_object_get(m, "content"));
    if (reply)
        webui_texts(str_cstr(&content), &text, &thought);
    else if (role && !strcmp(role, "user"))
        str_add_bytes(&text, str_cstr(&content), content.len);
    draft_add(d, key, text_at(m, "parentId"), reply, str_cstr(&text), str_cstr(&thought), time_at(m, "timestamp"), text_at(m, "model"));
    double rating = json_number_value(json_object_get(note, "rating"));
    if (reply && rating != 0) draft_rate(d, key, rating > 0 ? 1 : -1, text_at(note, "reason"), text_at(note, "comment"));
    str_release(&text);
    str_release(&thought);
    str_release(&content);
}

static json_t *from_openwebui(struct importer *im, const json_t *c)
{
    const json_t *feedback = json_object_get(c, "data"), *snapshot = json_object_get(c, "snapshot"), *meta = json_object_get(c, "meta");
    const json_t *outer = snapshot ? json_object_get(snapshot, "chat") : c;
    const json_t *chat = json_object_get(outer, "chat") ? json_object_get(outer, "chat") : outer;
    const json_t *all = json_object_get(json_object_get(chat, "history"), "messages"), *id = json_object_get(outer, "id");
    const char *system = text_at(chat, "system") ? text_at(chat, "system") : text_at(json_object_get(chat, "params"), "system");
    json_t *waiting = json_array(), *m;
    struct draft d;
    const char *key;

    if (!json_is_string(id)) id = json_object_get(meta, "chat_id");
    draft_init(&d, im, "openwebui", id, text_at(outer, "title") ? text_at(outer, "title") : text_at(chat, "title"),
               time_at(outer, "created_at"));
    if (system && system[0]) json_object_set_new(d.conversation, "system", json_string(system));
    json_object_foreach((json_t *)(uintptr_t)all, key, m)
    {
        const char *parent = text_at(m, "parentId");
        if (!parent || !json_object_get(all, parent)) json_array_append_new(waiting, json_string(key));
    }
    for (size_t i = 0; i < json_array_size(waiting) && !d.failed; i++) {
        const char *at = json_string_value(json_array_get(waiting, i));
        if (json_object_get(d.keys, at)) continue;
        webui_message(&d, all, at);
        const json_t *children = json_object_get(json_object_get(all, at), "childrenIds");
        for (size_t k = 0; k < json_array_size(children); k++) {
            const char *child = json_string_value(json_array_get(children, k));
            if (child && json_object_get(all, child) && !json_object_get(d.keys, child)) json_array_append_new(waiting, json_string(child));
        }
    }
    json_decref(waiting);
    double rating = json_number_value(json_object_get(feedback, "rating"));
    if (rating != 0 && text_at(meta, "message_id"))
        draft_rate(&d, text_at(meta, "message_id"), rating > 0 ? 1 : -1, text_at(feedback, "reason"), text_at(feedback, "comment"));
    return draft_end(&d, text_at(json_object_get(chat, "history"), "currentId"));
}

/* ---- ShareGPT and OpenAI messages ------------------------------------------------------------------------------ */

static json_t *from_list(struct importer *im, const json_t *c, bool sharegpt)
{
    const json_t *list = json_object_get(c, sharegpt ? "conversations" : "messages");
    const char *system = text_at(c, "system");
    struct draft d;
    char key[32], previous[32] = "";

    draft_init(&d, im, sharegpt ? "sharegpt" : "openai", NULL, text_at(c, "title"), time_at(c, "created_at"));
    if (system && system[0]) json_object_set_new(d.conversation, "system", json_string(system));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = text_at(m, sharegpt ? "from" : "role");
        const char *thought = text_at(m, "reasoning_content") ? text_at(m, "reasoning_content") : text_at(m, "thinking");
        struct str text = STR_EMPTY;
        add_content(&text, json_object_get(m, sharegpt ? "value" : "content"));
        bool reply = role && (!strcmp(role, "assistant") || !strcmp(role, "gpt") || !strcmp(role, "chatgpt") || !strcmp(role, "bard") ||
                              !strcmp(role, "bing"));
        bool user = role && (!strcmp(role, "user") || !strcmp(role, "human"));
        snprintf(key, sizeof key, "%zu", i);
        if (role && (!strcmp(role, "system") || !strcmp(role, "developer")) && i == 0) {
            json_object_set_new(d.conversation, "system", json_stringn(str_cstr(&text), text.len));
            str_release(&text);
            continue;
        }
        draft_add(&d, key, previous[0] ? previous : NULL, reply, reply || user ? str_cstr(&text) : NULL, reply ? thought : NULL, 0,
                  text_at(c, "model"));
        snprintf(previous, sizeof previous, "%s", key);
        str_release(&text);
    }
    return draft_end(&d, previous);
}

/* ---- telling apart --------------------------------------------------------------------------------------------- */

const char *import_format_of(const json_t *c)
{
    const json_t *first = json_array_get(json_object_get(c, "conversations"), 0);

    if (json_is_object(json_object_get(c, "mapping"))) return "chatgpt";
    if (json_is_array(json_object_get(c, "chat_messages"))) return "claude";
    if (json_is_object(json_object_get(c, "snapshot")) && json_is_object(json_object_get(c, "data"))) return "openwebui";
    if (json_is_object(json_object_get(json_object_get(c, "chat"), "history"))) return "openwebui";
    if (text_at(first, "from") || (json_is_array(json_object_get(c, "conversations")) && text_at(first, "value"))) return "sharegpt";
    if (json_is_array(json_object_get(c, "messages"))) return "openai";
    return NULL;
}

json_t *import_translate(struct importer *im, const char *format, const json_t *c)
{
    json_t *own;

    if (!strcmp(format, "chatgpt"))
        own = from_chatgpt(im, c);
    else if (!strcmp(format, "claude"))
        own = from_claude(im, c);
    else if (!strcmp(format, "openwebui"))
        own = from_openwebui(im, c);
    else
        own = from_list(im, c, !strcmp(format, "sharegpt"));
    if (!own) import_note(im, "conversation %lld: has no text", (long long)im->file_n + 1);
    return own;
}
