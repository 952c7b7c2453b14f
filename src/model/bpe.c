/*
 * bpe.c - byte pair encoding over the mapped token texts.
 *
 * Two open-addressing tables: texts to symbols, and pairs of symbols to the rank and result of their merge. Both are keyed by a
 * random seed, so that no vocabulary can be written to make them slow. Texts stay in the mapping; only those of symbols that are
 * no tokens are kept here.
 *
 * A word is a linked list of symbols, first one a byte; a heap holds the possible merges by rank, then position. Entries are never
 * removed from the heap: one is current when the symbol at its position still has a merge of its rank. So a word of n bytes takes
 * O(n log n), whatever its content.
 */
#include "model/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* Tokens and merges are entered in blocks, because nearly all the time goes into waiting for memory: the slots that a whole block
 * needs are asked for before the first of them is read. */
enum { BLOCK = 32 };

#define NO_RANK   UINT32_MAX
#define NO_SYMBOL UINT32_MAX

struct text_slot {
    uint32_t hash;
    uint32_t symbol; /* plus 1; 0 is an empty slot */
};

struct merge_slot {
    uint64_t pair; /* left plus 1 above right; 0 is an empty slot */
    uint32_t rank, result;
};

struct bpe {
    struct gguf_array tokens;
    const uint8_t *types;
    uint64_t seed[2];
    struct text_slot *texts;
    size_t n_texts, text_mask;
    struct merge_slot *merges;
    size_t merge_mask;
    uint32_t n_extra;      /* symbols that are no tokens */
    struct str extra_text; /* and their texts, */
    struct str extra_at;   /* uint32_t each: where they begin */
    uint32_t byte_symbol[256];
    char spelling[256][2]; /* of each byte in the alphabet */
    uint8_t spelling_len[256];
    int16_t byte_of[0x144]; /* by code point; -1 outside of the alphabet */
};

/* ---- alphabet ----------------------------------------------------------------------------------------------- */

static void make_alphabet(struct bpe *b)
{
    uint32_t stand_in = 0x100;
    memset(b->byte_of, 0xff, sizeof(b->byte_of));
    for (unsigned c = 0; c < 256; c++) {
        bool printable = (c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xff && c != 0xad);
        uint32_t cp = printable ? c : stand_in++;
        char utf8[4];
        b->spelling_len[c] = (uint8_t)utf8_encode(cp, utf8);
        memcpy(b->spelling[c], utf8, 2);
        b->byte_of[cp] = (int16_t)c;
    }
}

size_t bpe_decode(const struct bpe *b, const char *text, size_t n, char *out)
{
    size_t made = 0;
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        unsigned cp = c;
        size_t len = 1;
        /* The alphabet ends at U+0143: one or two bytes. */
        if (c >= 0xc2 && c <= 0xc5 && i + 1 < n && ((unsigned char)text[i + 1] & 0xc0) == 0x80) {
            cp = (c & 0x1fu) << 6 | ((unsigned char)text[i + 1] & 0x3fu);
            len = 2;
        }
        if ((c < 0x80 || len == 2) && cp < ARRAY_LEN(b->byte_of) && b->byte_of[cp] >= 0)
            out[made++] = (char)b->byte_of[cp];
        else
            for (size_t k = 0; k < len; k++) out[made++] = text[i + k];
        i += len;
    }
    return made;
}

static bool spell(const struct bpe *b, struct str *out, const char *bytes, size_t n)
{
    str_clear(out);
    if (n > SIZE_MAX / 2 || !str_reserve(out, 2 * n)) return false;
    for (size_t i = 0; i < n; i++) str_add_bytes(out, b->spelling[(unsigned char)bytes[i]], b->spelling_len[(unsigned char)bytes[i]]);
    return str_ok(out);
}

/* ---- texts to symbols --------------------------------------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b)
{
    wide m = (wide)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

static uint32_t hash_text(const struct bpe *b, const char *p, size_t n)
{
    uint64_t h = b->seed[0] ^ n;
    for (; n > 8; n -= 8, p += 8) h = mix(h ^ load(p, 8), b->seed[1]);
    uint64_t last;
    if (n >= 4)
        last = load(p, 4) | load(p + n - 4, 4) << 32;
    else
        last = n ? (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << 8 | (uint64_t)(unsigned char)p[n - 1] << 16 : 0;
    h = mix(h ^ last, b->seed[1]);
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t extra_begin(const struct bpe *b, uint32_t i)
{
    uint32_t at = (uint32_t)b->extra_text.len;
    if (i < b->n_extra) memcpy(&at, b->extra_at.data + i * sizeof at, sizeof at);
    return at;
}

static struct gguf_string text_of(const struct bpe *b, uint32_t symbol)
{
    struct gguf_string text = {"", 0};
    if (symbol < b->tokens.n) {
        gguf_array_string(&b->tokens, symbol, &text);
    } else {
        uint32_t i = symbol - (uint32_t)b->tokens.n, at = extra_begin(b, i);
        text = (struct gguf_string){b->extra_text.data + at, extra_begin(b, i + 1) - at};
    }
    return text;
}

static bool is_ordinary(const struct bpe *b, uint32_t symbol)
{
    return symbol >= b->tokens.n || b->types[symbol] == TOKEN_NORMAL || b->types[symbol] == TOKEN_UNUSED;
}

/* The symbol of a text; NO_SYMBOL and *empty, the slot it would have, when there is none. */
static uint32_t find_text(const struct bpe *b, const char *p, size_t n, bool ordinary, uint32_t hash, size_t *empty)
{
    size_t i = hash & b->text_mask;
    for (; b->texts[i].symbol; i = (i + 1) & b->text_mask) {
        const struct text_slot *slot = &b->texts[i];
        if (slot->hash != hash) continue;
        struct gguf_string text = text_of(b, slot->symbol - 1);
        if (text.n == n && memcmp(text.p, p, n) == 0 && (!ordinary || is_ordinary(b, slot->symbol - 1))) return slot->symbol - 1;
    }
    if (empty) *empty = i;
    return NO_SYMBOL;
}

int32_t bpe_find(const struct bpe *b, const char *text, size_t n)
{
    uint32_t symbol = find_text(b, text, n, false, hash_text(b, text, n), NULL);
    return symbol < b->tokens.n ? (int32_t)symbol : -1;
}

int32_t bpe_find_bytes(const struct bpe *b, struct bpe_work *w, const char *bytes, size_t n)
{
    if (!spell(b, &w->spelled, bytes, n)) return -1;
    const char *text = str_cstr(&w->spelled);
    uint32_t symbol = find_text(b, text, w->spelled.len, true, hash_text(b, text, w->spelled.len), NULL);
    return symbol < b->tokens.n ? (int32_t)symbol : -1;
}

/* A zeroed table of size entries. Look-ups jump all over it, so it should lie in few pages. */
static void *new_table(size_t size, size_t entry)
{
    const size_t huge = (size_t)2 << 20;
    size_t bytes;
    void *p;
    if (__builtin_mul_overflow(size, entry, &bytes)) return NULL;
    if (bytes < huge) return calloc(size, entry);
    if (posix_memalign(&p, huge, bytes) != 0) return NULL;
    madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return p;
}

static int grow_texts(struct bpe *b, size_t size)
{
    struct text_slot *slots = new_table(size, sizeof(*slots));
    if (!slots) return ERR_NOMEM;
    if (b->texts)
        for (size_t i = 0; i <= b->text_mask; i++) {
            if (!b->texts[i].symbol) continue;
            size_t k = b->texts[i].hash & (size - 1);
            while (slots[k].symbol) k = (k + 1) & (size - 1);
            slots[k] = b->texts[i];
        }
    free(b->texts);
    b->texts = slots;
    b->text_mask = size - 1;
    return ERR_OK;
}

static size_t table_size(size_t entries)
{
    size_t size = 64;
    while (size < entries + entries / 4) size *= 2;
    return size;
}

/* Gives a text a symbol of its own. NO_SYMBOL when memory runs out. */
static uint32_t add_extra(struct bpe *b, const char *p, size_t n, uint32_t hash)
{
    uint64_t symbol = b->tokens.n + b->n_extra;
    size_t at = b->extra_text.len, slot;
    if (symbol >= NO_SYMBOL - 1 || at + n > UINT32_MAX) return NO_SYMBOL;
    if ((b->n_texts + 1) * 5 > (b->text_mask + 1) * 4 && grow_texts(b, 2 * (b->text_mask + 1)) != ERR_OK) return NO_SYMBOL;
    uint32_t begin = (uint32_t)at;
    str_add_bytes(&b->extra_text, p, n);
    str_add_bytes(&b->extra_at, (const char *)&begin, sizeof begin);
    if (!str_ok(&b->extra_text) || !str_ok(&b->extra_at)) return NO_SYMBOL;
    find_text(b, p, n, true, hash, &slot);
    b->texts[slot] = (struct text_slot){hash, (uint32_t)symbol + 1};
    b->n_texts++;
    b->n_extra++;
    return (uint32_t)symbol;
}

static uint32_t intern(struct bpe *b, const char *p, size_t n, uint32_t hash)
{
    uint32_t symbol = find_text(b, p, n, true, hash, NULL);
    return symbol != NO_SYMBOL ? symbol : add_extra(b, p, n, hash);
}

/* Adds the tokens from..from + n. False and *twin, *bad for one whose text another has. */
static bool add_tokens(struct bpe *b, uint32_t from, uint32_t n, uint32_t *twin, uint32_t *bad)
{
    struct gguf_string text[BLOCK];
    uint32_t hash[BLOCK];
    for (uint32_t i = 0; i < n; i++) {
        text[i] = (struct gguf_string){"", 0};
        gguf_array_string(&b->tokens, from + i, &text[i]);
        hash[i] = hash_text(b, text[i].p, text[i].n);
        __builtin_prefetch(&b->texts[hash[i] & b->text_mask], 1);
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t slot;
        if (text[i].n == 0) continue;
        *twin = find_text(b, text[i].p, text[i].n, false, hash[i], &slot);
        *bad = from + i;
        if (*twin != NO_SYMBOL) return false;
        b->texts[slot] = (struct text_slot){hash[i], from + i + 1};
        b->n_texts++;
    }
    return true;
}

int bpe_new(struct bpe **out, const struct gguf_array *tokens, const char *path, struct err *e)
{
    *out = NULL;
    struct bpe *b = calloc(1, sizeof(*b));
    if (!b || grow_texts(b, table_size((size_t)tokens->n)) != ERR_OK) {
        bpe_free(b);
        return err_set(e, ERR_NOMEM, "%s: out of memory for %zu tokens", path, (size_t)tokens->n);
    }
    b->tokens = *tokens;
    /* Where the kernel has no random numbers yet, addresses still differ from run to run. */
    if (getrandom(b->seed, sizeof(b->seed), GRND_NONBLOCK) != (ssize_t)sizeof(b->seed)) {
        b->seed[0] = (uint64_t)(uintptr_t)b * 0x9e3779b97f4a7c15u;
        b->seed[1] = (uint64_t)clock_mono_us() * 0xd1342543de82ef95u;
    }
    b->seed[1] |= 1;
    make_alphabet(b);
    for (uint32_t i = 0; i < tokens->n; i += BLOCK) {
        uint32_t n = (uint32_t)tokens->n - i, twin, bad;
        if (add_tokens(b, i, n < BLOCK ? n : BLOCK, &twin, &bad)) continue;
        bpe_free(b);
        return err_set(e, ERR_FILE, "%s: tokenizer.ggml.tokens: %u and %u are the same", path, twin, bad);
    }
    *out = b;
    return ERR_OK;
}

void bpe_free(struct bpe *b)
{
    if (!b) return;
    free(b->texts);
    free(b->merges);
    str_release(&b->extra_text);
    str_release(&b->extra_at);
    free(b);
}

/* ---- merges ------------------------------------------------------------------------------------------------- */

static uint64_t pair_of(uint32_t left, uint32_t right)
{
    return ((uint64_t)left + 1) << 32 | right;
}

static size_t merge_home(const struct bpe *b, uint64_t pair)
{
    return (size_t)mix(pair ^ b->seed[0], b->seed[1]) & b->merge_mask;
}

/* The slot of a pair, or the empty one it would have. */
static size_t find_merge(const struct bpe *b, uint64_t pair)
{
    size_t i = merge_home(b, pair);
    while (b->merges[i].pair && b->merges[i].pair != pair) i = (i + 1) & b->merge_mask;
    return i;
}

struct merge {
    struct gguf_string left, right;
    uint32_t left_hash, right_hash;
    uint64_t pair;
    uint32_t result;
};

static bool split_merge(const struct bpe *b, const struct gguf_array *merges, uint64_t i, struct merge *m)
{
    struct gguf_string s = {"", 0};
    gguf_array_string(merges, i, &s);
    const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
    if (!space || space + 1 == s.p + s.n) return false;
    m->left = (struct gguf_string){s.p, (size_t)(space - s.p)};
    m->right = (struct gguf_string){space + 1, s.n - m->left.n - 1};
    m->left_hash = hash_text(b, m->left.p, m->left.n);
    m->right_hash = hash_text(b, m->right.p, m->right.n);
    __builtin_prefetch(&b->texts[m->left_hash & b->text_mask]);
    __builtin_prefetch(&b->texts[m->right_hash & b->text_mask]);
    return true;
}

static void prefetch_text(const struct bpe *b, uint32_t hash)
{
    const struct text_slot *slot = &b->texts[hash & b->text_mask];
    if (slot->symbol) __builtin_prefetch(text_of(b, slot->symbol - 1).p);
}

/* The symbol of both halves together. Vocabularies list the results of merges in the order of the merges, so the token behind
 * the last result is tried before the table is. */
static uint32_t joined_symbol(struct bpe *b, const struct merge *m, uint32_t guess, struct str *joined)
{
    struct gguf_string s = {"", 0};
    if (guess < b->tokens.n && is_ordinary(b, guess)) gguf_array_string(&b->tokens, guess, &s);
    if (s.n == m->left.n + m->right.n && memcmp(s.p, m->left.p, m->left.n) == 0 && memcmp(s.p + m->left.n, m->right.p, m->right.n) == 0)
        return guess;
    str_clear(joined);
    str_add_bytes(joined, m->left.p, m->left.n);
    str_add_bytes(joined, m->right.p, m->right.n);
    return str_ok(joined) ? intern(b, joined->data, joined->len, hash_text(b, joined->data, joined->len)) : NO_SYMBOL;
}

static int resolve_merge(struct bpe *b, struct merge *m, uint32_t *last, struct str *joined)
{
    uint32_t left = intern(b, m->left.p, m->left.n, m->left_hash);
    uint32_t right = intern(b, m->right.p, m->right.n, m->right_hash);
    m->result = joined_symbol(b, m, *last + 1, joined);
    if (left == NO_SYMBOL || right == NO_SYMBOL || m->result == NO_SYMBOL) return ERR_NOMEM;
    *last = m->result;
    m->pair = pair_of(left, right);
    __builtin_prefetch(&b->merges[merge_home(b, m->pair)], 1);
    return ERR_OK;
}

/* Adds the merges from..from + n, whose ranks are their numbers. ERR_FILE and *bad for one that is not two symbols. */
static int add_block(struct bpe *b, const struct gguf_array *merges, uint32_t from, uint32_t n, uint32_t *last, struct str *joined,
                     uint32_t *bad)
{
    struct merge block[BLOCK];
    int rc = ERR_OK;
    for (uint32_t i = 0; i < n; i++)
        if (!split_merge(b, merges, from + i, &block[i])) {
            *bad = from + i;
            return ERR_FILE;
        }
    for (uint32_t i = 0; i < n; i++) {
        prefetch_text(b, block[i].left_hash);
        prefetch_text(b, block[i].right_hash);
    }
    for (uint32_t i = 0; rc == ERR_OK && i < n; i++) rc = resolve_merge(b, &block[i], last, joined);
    for (uint32_t i = 0; rc == ERR_OK && i < n; i++) {
        struct merge_slot *slot = &b->merges[find_merge(b, block[i].pair)];
        /* The first of equal merges counts. */
        if (!slot->pair) *slot = (struct merge_slot){block[i].pair, from + i, block[i].result};
    }
    return rc;
}

static int find_byte_symbols(struct bpe *b, const int32_t byte_tokens[256])
{
    for (unsigned c = 0; c < 256; c++) {
        uint32_t hash = hash_text(b, b->spelling[c], b->spelling_len[c]);
        uint32_t symbol = find_text(b, b->spelling[c], b->spelling_len[c], true, hash, NULL);
        if (symbol == NO_SYMBOL && byte_tokens[c] >= 0) symbol = (uint32_t)byte_tokens[c];
        if (symbol == NO_SYMBOL) symbol = intern(b, b->spelling[c], b->spelling_len[c], hash);
        if (symbol == NO_SYMBOL) return ERR_NOMEM;
        b->byte_symbol[c] = symbol;
    }
    return ERR_OK;
}

int bpe_add_merges(struct bpe *b, const struct gguf_array *merges, const uint8_t *types, const int32_t byte_tokens[256], const char *path,
                   struct err *e)
{
    size_t size = table_size((size_t)merges->n);
    struct str joined = STR_EMPTY;
    uint32_t last = NO_SYMBOL - 1;
    b->types = types;
    b->merges = new_table(size, sizeof(*b->merges));
    b->merge_mask = size - 1;
    int rc = b->merges ? find_byte_symbols(b, byte_tokens) : ERR_NOMEM;
    for (uint32_t i = 0; rc == ERR_OK && i < merges->n; i += BLOCK) {
        uint32_t n = (uint32_t)merges->n - i, bad = 0;
        rc = add_block(b, merges, i, n < BLOCK ? n : BLOCK, &last, &joined, &bad);
        if (rc == ERR_FILE) err_set(e, rc, "%s: tokenizer.ggml.merges: entry %u is not two symbols", path, bad);
    }
    str_release(&joined);
    if (rc == ERR_NOMEM) err_set(e, rc, "%s: out of memory for %zu merges", path, (size_t)merges->n);
    return rc;
}

/* ---- words -------------------------------------------------------------------------------------------------- */

void bpe_work_release(struct bpe_work *w)
{
    free(w->symbols);
    free(w->heap);
    str_release(&w->spelled);
    *w = (struct bpe_work){0};
}

bool bpe_heap_push(struct bpe_work *w, uint64_t entry)
{
    if (w->n_heap == w->cap_heap && !mem_grow(&w->heap, &w->cap_heap, w->n_heap + 1, sizeof(*w->heap))) return false;
    size_t i = w->n_heap++;
    for (; i && w->heap[(i - 1) / 2] > entry; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = entry;
    return true;
}

uint64_t bpe_heap_pop(struct bpe_work *w)
{
    uint64_t top = w->heap[0], moved = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && w->heap[child + 1] < w->heap[child]) child++;
        if (w->heap[child] >= moved) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = moved;
    return top;
}

/* Looks up the merge of symbol i with the next one and queues it. */
static bool queue_merge(const struct bpe *b, struct bpe_work *w, int32_t i)
{
    struct bpe_symbol *s = &w->symbols[i];
    s->rank = NO_RANK;
    if (s->next < 0) return true;
    const struct merge_slot *m = &b->merges[find_merge(b, pair_of(s->symbol, w->symbols[s->next].symbol))];
    if (!m->pair) return true;
    s->rank = m->rank;
    s->result = m->result;
    return bpe_heap_push(w, (uint64_t)m->rank << 32 | (uint32_t)i);
}

/* Merges until nothing merges. Symbol i keeps its place at byte i of the word. */
static bool merge_all(const struct bpe *b, struct bpe_work *w)
{
    while (w->n_heap) {
        uint64_t entry = bpe_heap_pop(w);
        int32_t i = (int32_t)(uint32_t)entry;
        struct bpe_symbol *s = &w->symbols[i];
        if (s->rank != (uint32_t)(entry >> 32)) continue;
        struct bpe_symbol *gone = &w->symbols[s->next];
        gone->rank = NO_RANK;
        s->symbol = s->result;
        s->next = gone->next;
        if (s->next >= 0) w->symbols[s->next].prev = i;
        if (!queue_merge(b, w, i) || (s->prev >= 0 && !queue_merge(b, w, s->prev))) return false;
    }
    return true;
}

/* A symbol that is no token is written as its bytes, as the reference does. */
static int push_bytes(const struct bpe *b, const char *bytes, size_t n, struct tokens *out)
{
    int rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        uint32_t symbol = b->byte_symbol[(unsigned char)bytes[i]];
        if (symbol < b->tokens.n) rc = tokens_push(out, (int32_t)symbol);
    }
    return rc;
}

int bpe_encode(const struct bpe *b, struct bpe_work *w, const char *bytes, size_t n, bool whole, struct tokens *out)
{
    if (n == 0) return ERR_OK;
    if (whole) {
        int32_t id = bpe_find_bytes(b, w, bytes, n);
        if (id >= 0) return tokens_push(out, id);
    }
    if (n > w->cap_symbols && !mem_grow(&w->symbols, &w->cap_symbols, n, sizeof(*w->symbols))) return ERR_NOMEM;
    w->n_heap = 0;
    for (size_t i = 0; i < n; i++)
        w->symbols[i] = (struct bpe_symbol){
            .symbol = b->byte_symbol[(unsigned char)bytes[i]],
            .prev = (int32_t)i - 1,
            .next = i + 1 < n ? (int32_t)i + 1 : -1,
        };
    for (size_t i = 0; i < n; i++)
        if (!queue_merge(b, w, (int32_t)i)) return ERR_NOMEM;
    if (!merge_all(b, w)) return ERR_NOMEM;
    int rc = ERR_OK;
    for (int32_t i = 0; rc == ERR_OK && i >= 0; i = w->symbols[i].next) {
        const struct bpe_symbol *s = &w->symbols[i];
        size_t end = s->next >= 0 ? (size_t)s->next : n;
        rc = s->symbol < b->tokens.n ? tokens_push(out, (int32_t)s->symbol) : push_bytes(b, bytes + i, end - (size_t)i, out);
    }
    return rc;
}
